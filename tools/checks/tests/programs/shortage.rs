//! Programs that take memory until there is none, under a limit of address space or of data, set before or while they run, or with no
//! more mappings to be had from some moment on: each ends in its own way of being out of memory, as it does on the C library's malloc,
//! and never by a signal but its own.

use crate::presence::{all_there, find, input};
use crate::process::{Running, in_words};
use hakmem_checks::{HANGS_AFTER, library};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::{self, File};
use std::io::{PipeWriter, Write, pipe};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that takes all there is.
struct Greedy {
    program: &'static str,
    arguments: &'static [&'static str],
    work: Work,
    /// What makes it say when it is ready, and wait to be let go.
    waits: &'static [&'static str],
    /// How it may end, and what it says then: with this exit status, or without one where it ends itself by `abort` or the like.
    ends: &'static [(Option<i32>, &'static str)],
}

/// What it is to do.
enum Work {
    /// A script below tests/preload, named by an argument.
    Script(&'static str),
    /// The same as its input.
    Input(&'static str),
    /// To read an endless input, and keep all of it.
    Zeros,
}

const PYTHON: Greedy = Greedy {
    program: "python3",
    arguments: &["-I"],
    work: Work::Script("python/greedy.py"),
    waits: &["waits"],
    ends: &[(Some(0), "MemoryError, and on it goes")],
};
const PERL: Greedy = Greedy {
    program: "perl",
    arguments: &[],
    work: Work::Script("perl/greedy.pl"),
    waits: &["waits"],
    ends: &[(Some(1), "Out of memory")],
};
const BASH: Greedy = Greedy {
    program: "bash",
    arguments: &[],
    work: Work::Script("bash/greedy.sh"),
    waits: &["waits"],
    ends: &[(Some(2), "cannot allocate")],
};
const LUA: Greedy = Greedy {
    program: "lua5.4",
    arguments: &[],
    work: Work::Script("lua/greedy.lua"),
    waits: &["waits"],
    ends: &[(Some(1), "not enough memory")],
};
/// Its engine ends the process where it gets no memory for itself.
const NODE: Greedy = Greedy {
    program: "node",
    arguments: &[],
    work: Work::Script("node/greedy.js"),
    waits: &["waits"],
    ends: &[(Some(0), "and on it goes"), (None, "FATAL ERROR")],
};
const SQLITE: Greedy = Greedy {
    program: "sqlite3",
    arguments: &["-batch", "-bail", ":memory:"],
    work: Work::Input("sqlite/greedy.sql"),
    waits: &["-cmd", ".shell : > ready; until [ -e go ]; do :; done"],
    ends: &[(Some(1), "out of memory")],
};
const GIT: Greedy = Greedy {
    program: "git",
    arguments: &["hash-object", "--stdin"],
    work: Work::Zeros,
    waits: &[],
    ends: &[(Some(128), "Out of memory")],
};
/// The compiler itself, which gcc starts.
const GCC: Greedy = Greedy {
    program: "gcc",
    arguments: &["-quiet", "-"],
    work: Work::Zeros,
    waits: &[],
    ends: &[(Some(1), "out of memory")],
};

/// What an endless input gives before the program that reads it counts as ready.
const READ_FIRST: usize = 16 << 20;

/// A moment in between two looks at what does not come by itself.
fn moment(deadline: Instant, what: &str) {
    assert!(Instant::now() < deadline, "{what}");
    thread::sleep(Duration::from_millis(5));
}

/// Gives zeros: some, then, when it is let go, as many as are taken.
fn give_zeros(mut to: PipeWriter, folder: &Path) {
    let zeros = vec![0; 1 << 16];
    for _ in 0..READ_FIRST / zeros.len() {
        if to.write_all(&zeros).is_err() {
            return;
        }
    }
    fs::write(folder.join("ready"), "").expect("a file");
    let deadline = Instant::now() + HANGS_AFTER;
    while !folder.join("go").exists() {
        moment(deadline, "the program is never let go");
    }
    while to.write_all(&zeros).is_ok() {}
}

impl Greedy {
    fn executable(&self) -> PathBuf {
        let program = find(self.program).expect("the program is there");
        if self.program != "gcc" {
            return program;
        }
        let said = Command::new(program).arg("-print-prog-name=cc1").output().expect("gcc says where its compiler is");
        String::from_utf8(said.stdout).expect("a path").trim().into()
    }

    /// Starts it behind a command that sets limits; if it `waits` it says when it is ready.
    fn start(&self, folder: &Path, limits: &str, preload: bool, waits: bool) -> Running {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{limits} \"$@\"")).arg("sh");
        command.arg("env").arg(format!("LD_PRELOAD={}", if preload { library().shared.to_str().unwrap() } else { "" }));
        command.arg(self.executable()).args(self.arguments).stdin(Stdio::null());
        match self.work {
            Work::Script(script) => drop(command.arg(input(script))),
            Work::Input(script) => drop(command.stdin(File::open(input(script)).expect("the input"))),
            Work::Zeros if waits => {
                let (from, to) = pipe().expect("a pipe");
                command.stdin(from);
                let folder = folder.to_path_buf();
                thread::spawn(move || give_zeros(to, &folder));
            }
            Work::Zeros => drop(command.stdin(File::open("/dev/zero").expect("zeros"))),
        }
        if waits {
            command.args(self.waits);
        }
        command.current_dir(folder).env("LC_ALL", "C");
        Running::start(command, folder.join("stdout"), folder.join("stderr"))
    }

    /// Starts it, and waits until it is ready.
    fn start_ready(&self, folder: &Path, limits: &str, preload: bool) -> Running {
        let mut running = self.start(folder, limits, preload, true);
        let deadline = Instant::now() + HANGS_AFTER;
        while !folder.join("ready").exists() {
            assert!(running.alive(), "{} ends before it is ready: {}", self.program, running.last_words());
            moment(deadline, "the program is never ready");
        }
        running
    }

    /// Waits for the end, which must be the program's own.
    fn finish(&self, running: Running, what: &str) {
        let ended = running.wait();
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
        let how = in_words(ended.status);
        // SIGILL, SIGTRAP and SIGABRT are what programs end themselves by.
        let own_end =
            ended.status.code().is_some() || ended.status.signal().is_some_and(|signal| (4..=6).contains(&signal));
        let expected = self.ends.iter().any(|(code, says)| ended.status.code() == *code && said.contains(says));
        assert!(own_end && expected, "{what}: {} ended with {how}\n{said}", self.program);
        assert!(!said.contains("cannot be preloaded"), "{what}: {} ran without the library\n{said}", self.program);
        assert!(!said.contains("hakmem:"), "{what}: {} hears of the library\n{said}", self.program);
    }

    fn runs_out(&self) {
        if !all_there("runs_out", &[self.program]) {
            return;
        }
        let folder = tempfile::tempdir().expect("a temporary directory");
        for limit in ["ulimit -v 120000", "ulimit -v 400000", "ulimit -d 60000", "ulimit -d 250000"] {
            for preload in [false, true] {
                let what = format!("{limit}, {}", how(preload));
                self.finish(self.start(folder.path(), &format!("{limit}; exec"), preload, false), &what);
            }
        }
    }

    /// The limit is lowered from outside while the program runs, to so much more than it has.
    fn runs_out_late(&self) {
        if !all_there("runs_out_late", &[self.program]) {
            return;
        }
        for resource in [Resource::As, Resource::Data] {
            for preload in [false, true] {
                let folder = tempfile::tempdir().expect("a temporary directory");
                let running = self.start_ready(folder.path(), "exec", preload);
                let process = running.process();
                let has = kilobytes(process, if resource == Resource::As { "VmSize:" } else { "VmData:" }) << 10;
                let limit = Rlimit { current: Some(has + (60 << 20)), maximum: None };
                prlimit(Pid::from_raw(process as i32), resource, limit).expect("a limit for the process");
                fs::write(folder.path().join("go"), "").expect("a file");
                self.finish(running, &format!("{resource:?} lowered, {}", how(preload)));
            }
        }
    }

    /// From some moment on there are no more mappings, or three more; with a limit of data for what is had without.
    fn has_few_mappings(&self) {
        if !all_there("has_few_mappings", &[self.program, "gcc"]) {
            return;
        }
        let tools = tempfile::tempdir().expect("a temporary directory");
        let few = tools.path().join("few_mappings");
        let compiled = Command::new("gcc").arg("-O1").arg("-o").arg(&few).arg(input("few_mappings.c")).status();
        assert!(compiled.expect("gcc runs").success());
        for (more, preload) in [(0, false), (0, true), (3, false), (3, true)] {
            let folder = tempfile::tempdir().expect("a temporary directory");
            let limits = format!("ulimit -d 700000; exec {} {more}", few.display());
            let running = self.start_ready(folder.path(), &limits, preload);
            fs::write(folder.path().join("go"), "").expect("a file");
            let what = format!("{more} more mappings, {}", how(preload));
            self.finish(running, &what);
            let refused = fs::read_to_string(folder.path().join("refused")).expect("a number of refusals");
            assert!(more > 0 || refused.trim() != "0", "{what}: {} is refused nothing", self.program);
        }
    }
}

fn how(preload: bool) -> &'static str {
    if preload { "preloaded" } else { "plain" }
}

fn kilobytes(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

macro_rules! greedy {
    ($($name:ident: $program:ident.$how:ident;)*) => {$(
        #[test]
        fn $name() {
            $program.$how();
        }
    )*};
}

greedy! {
    python_runs_out: PYTHON.runs_out;
    python_runs_out_late: PYTHON.runs_out_late;
    python_has_few_mappings: PYTHON.has_few_mappings;
    perl_runs_out: PERL.runs_out;
    perl_runs_out_late: PERL.runs_out_late;
    perl_has_few_mappings: PERL.has_few_mappings;
    bash_runs_out: BASH.runs_out;
    bash_runs_out_late: BASH.runs_out_late;
    bash_has_few_mappings: BASH.has_few_mappings;
    lua_runs_out: LUA.runs_out;
    lua_runs_out_late: LUA.runs_out_late;
    lua_has_few_mappings: LUA.has_few_mappings;
    node_runs_out_late: NODE.runs_out_late;
    node_has_few_mappings: NODE.has_few_mappings;
    sqlite_runs_out: SQLITE.runs_out;
    sqlite_runs_out_late: SQLITE.runs_out_late;
    sqlite_has_few_mappings: SQLITE.has_few_mappings;
    git_runs_out: GIT.runs_out;
    git_runs_out_late: GIT.runs_out_late;
    git_has_few_mappings: GIT.has_few_mappings;
    gcc_runs_out: GCC.runs_out;
    gcc_runs_out_late: GCC.runs_out_late;
    gcc_has_few_mappings: GCC.has_few_mappings;
}
