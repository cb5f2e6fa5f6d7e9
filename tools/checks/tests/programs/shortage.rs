//! Programs that take memory until there is none, under a limit of address space or of data, set before or while they run: each
//! ends in its own way of being out of memory, as it does on the C library's malloc, and never by a signal.

use crate::presence::{all_there, find, input};
use crate::process::{Running, in_words};
use hakmem_checks::{HANGS_AFTER, library};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that takes all there is.
struct Greedy {
    program: &'static str,
    arguments: &'static [&'static str],
    /// Its script, below tests/preload, as its last argument or as its input.
    script: &'static str,
    by_input: bool,
    /// How it ends, and what it says then.
    status: i32,
    says: &'static str,
}

const PYTHON: Greedy = Greedy {
    program: "python3",
    arguments: &["-I"],
    script: "python/greedy.py",
    by_input: false,
    status: 0,
    says: "MemoryError, and on it goes",
};
const PERL: Greedy = Greedy {
    program: "perl",
    arguments: &[],
    script: "perl/greedy.pl",
    by_input: false,
    status: 1,
    says: "Out of memory",
};
const BASH: Greedy = Greedy {
    program: "bash",
    arguments: &[],
    script: "bash/greedy.sh",
    by_input: false,
    status: 2,
    says: "cannot allocate",
};
const SQLITE: Greedy = Greedy {
    program: "sqlite3",
    arguments: &["-batch", "-bail", ":memory:"],
    script: "sqlite/greedy.sql",
    by_input: true,
    status: 1,
    says: "out of memory",
};
/// It reads all of an endless input.
const GIT: Greedy = Greedy {
    program: "git",
    arguments: &["hash-object", "--stdin"],
    script: "/dev/zero",
    by_input: true,
    status: 128,
    says: "Out of memory",
};

impl Greedy {
    /// What is run, behind a shell command that sets limits; with `waits` the program says when it is ready.
    fn command(&self, folder: &Path, limits: &str, preload: bool, waits: bool) -> Command {
        let program = find(self.program).expect("the program is there");
        let script = input(self.script);
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{limits}; exec \"$@\"")).arg("sh");
        command.arg("env").arg(format!("LD_PRELOAD={}", if preload { library().shared.to_str().unwrap() } else { "" }));
        command.arg(program).args(self.arguments);
        if self.by_input {
            command.stdin(fs::File::open(&script).expect("the input"));
        } else {
            command.arg(&script).stdin(Stdio::null());
        }
        if waits {
            command.arg("waits");
        }
        command.current_dir(folder).env("LC_ALL", "C");
        command
    }

    fn start(&self, folder: &Path, limits: &str, preload: bool, waits: bool) -> Running {
        let command = self.command(folder, limits, preload, waits);
        Running::start(command, folder.join("stdout"), folder.join("stderr"))
    }

    /// Waits for the end, which must be the program's own.
    fn finish(&self, running: Running, what: &str) {
        let ended = running.wait();
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
        let how = in_words(ended.status);
        assert_eq!(ended.status.code(), Some(self.status), "{what}: {} ended with {how}\n{said}", self.program);
        assert!(said.contains(self.says), "{what}: {} says\n{said}", self.program);
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
                let what = format!("{limit}, {}", if preload { "preloaded" } else { "plain" });
                self.finish(self.start(folder.path(), limit, preload, false), &what);
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
                let running = self.start(folder.path(), ":", preload, true);
                let deadline = Instant::now() + HANGS_AFTER;
                while !folder.path().join("ready").exists() {
                    assert!(Instant::now() < deadline, "{} is never ready", self.program);
                    std::thread::sleep(Duration::from_millis(5));
                }
                let process = running.process();
                let has = kilobytes(process, if resource == Resource::As { "VmSize:" } else { "VmData:" }) << 10;
                let limit = Rlimit { current: Some(has + (60 << 20)), maximum: None };
                prlimit(Pid::from_raw(process as i32), resource, limit).expect("a limit for the process");
                fs::write(folder.path().join("go"), "").expect("a file");
                let what = format!("{resource:?} lowered, {}", if preload { "preloaded" } else { "plain" });
                self.finish(running, &what);
            }
        }
    }
}

fn kilobytes(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn python_runs_out() {
    PYTHON.runs_out();
}

#[test]
fn python_runs_out_late() {
    PYTHON.runs_out_late();
}

#[test]
fn perl_runs_out() {
    PERL.runs_out();
}

#[test]
fn perl_runs_out_late() {
    PERL.runs_out_late();
}

#[test]
fn bash_runs_out() {
    BASH.runs_out();
}

#[test]
fn bash_runs_out_late() {
    BASH.runs_out_late();
}

#[test]
fn sqlite_runs_out() {
    SQLITE.runs_out();
}

#[test]
fn git_runs_out() {
    GIT.runs_out();
}
