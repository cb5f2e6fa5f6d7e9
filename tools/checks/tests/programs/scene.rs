//! A piece of work with real programs, done twice in the same folder under the same environment, once plain and once with
//! the library preloaded; and the comparison of what came out.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::library::Library;
use crate::presence::{all_there, find};
use crate::process::{Running, in_words, tail};

/// Does `work` plain and preloaded and compares, if all of `programs` are there.
pub fn compare(test: &str, programs: &[&str], work: impl Fn(&mut Scene)) {
    if !all_there(test, programs) {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    let library = Library::locate();
    let plain = perform(&folder, None, &work);
    let preloaded = perform(&folder, Some(&library), &work);

    assert!(plain.iter().any(|(_, bytes)| !bytes.is_empty()), "{test} produces nothing that could differ");
    assert_eq!(plain.len(), preloaded.len(), "{test} took other steps under the preload");
    for ((what, expected), (_, seen)) in plain.iter().zip(&preloaded) {
        assert!(expected == seen, "{what} differs under the preload: {}", first_difference(expected, seen));
    }
    // Only now: after a failure the folder stays for a look.
    std::fs::remove_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
}

/// What was seen, in order: a name for people, and bytes.
type Seen = Vec<(String, Vec<u8>)>;

/// Does the work once, in a fresh folder that has the same name each time: paths get into outputs and object files.
fn perform(folder: &Path, library: Option<&Library>, work: &impl Fn(&mut Scene)) -> Seen {
    let _ = std::fs::remove_dir_all(folder);
    for name in ["work", "temporary", "output"] {
        std::fs::create_dir_all(folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
    let mut scene = Scene { folder: folder.into(), library, seen: Seen::new(), steps: 0 };
    work(&mut scene);
    scene.seen
}

/// The stage on which a piece of work is done.
pub struct Scene<'a> {
    folder: PathBuf,
    library: Option<&'a Library>,
    seen: Seen,
    steps: usize,
}

/// A program in the background, from `Scene::start` to `Scene::finish`.
pub struct Background {
    step: Step,
    running: Running,
    records: PathBuf,
}

impl Background {
    /// Panics with what the program said last if it has ended already.
    pub fn expect_alive(&mut self) {
        let words = self.running.last_words();
        assert!(self.running.alive(), "{} ended too early\n{words}", self.step.in_short());
    }

    /// Bytes of its memory that are resident.
    pub fn resident_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.running.process());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of the kernel's");
        let number = line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kilobytes");
        number << 10
    }
}

impl Scene<'_> {
    /// Whether this is the run with the library preloaded.
    pub fn is_preloaded(&self) -> bool {
        self.library.is_some()
    }

    /// The folder in which all programs of the work run.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Writes a file into the work folder.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
        std::fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Runs a step to its end and notes its output for the comparison. Returns that output.
    pub fn run(&mut self, step: Step) -> String {
        let background = self.start(step);
        self.finish(background)
    }

    /// Starts a step in the background.
    pub fn start(&mut self, step: Step) -> Background {
        self.steps += 1;
        let output = |kind: &str| self.folder.join(format!("output/{}.{kind}", self.steps));
        let records = output("records");
        let mut command = step.command(&self.work());
        command.env("TMPDIR", self.folder.join("temporary"));
        if let Some(library) = self.library {
            command.envs(library.environment(&records));
        }
        let running = Running::start(command, output("stdout"), output("stderr"));
        Background { step, running, records }
    }

    /// Waits for the end of a step, checks how it ended and notes its output.
    pub fn finish(&mut self, background: Background) -> String {
        let Background { step, running, records } = background;
        let ended = running.wait();
        let how = if self.library.is_some() { "under the preload" } else { "without the preload" };
        let failed = |what: String| -> ! { panic!("{what} {how}: {}\nstderr: {}", ended.command, tail(&ended.stderr)) };
        if ended.status.code() != Some(step.status) {
            failed(format!("{} instead of exit status {}", in_words(ended.status), step.status));
        }
        if let Some(library) = self.library {
            if let Some(line) = ended.stderr.lines().find(|line| line.starts_with("hakmem: ")) {
                failed(format!("the library complained: {line}"));
            }
            library.prove(ended.process, &step.program, &records).unwrap_or_else(|why| failed(why));
        }
        let output = String::from_utf8_lossy(&ended.stdout).into_owned();
        if !step.varies {
            self.seen.push((format!("the output of {}", step.in_short()), ended.stdout));
        }
        output
    }

    /// Notes a file of the work folder for the comparison.
    pub fn keep(&mut self, name: &str) {
        let bytes = std::fs::read(self.work().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!bytes.is_empty(), "{name} is empty");
        self.seen.push((format!("the file {name}"), bytes));
    }

    /// Runs a step that is no part of the comparison (a compiler that makes what is compared): never preloaded.
    pub fn prepare(&mut self, step: Step) -> String {
        let library = self.library.take();
        let output = self.run(step.output_varies());
        self.library = library;
        output
    }
}

/// One program to run: its arguments and what is expected of it.
pub struct Step {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdin: Option<PathBuf>,
    status: i32,
    varies: bool,
    address_space: Option<u64>,
}

impl Step {
    /// A run of `program`, given by a path or by a name found in `PATH`.
    pub fn new(program: impl AsRef<Path>) -> Step {
        let program = program.as_ref();
        let found = if program.is_absolute() { Some(program.into()) } else { find(&program.to_string_lossy()) };
        Step {
            program: found.unwrap_or_else(|| panic!("{} is not in PATH", program.display())),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: None,
            status: 0,
            varies: false,
            address_space: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Step {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// Adds arguments, given as one text with spaces between them.
    pub fn args(mut self, arguments: &str) -> Step {
        self.arguments.extend(arguments.split_whitespace().map(OsString::from));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Step {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// Takes the standard input from a file (by default there is none).
    pub fn stdin(mut self, path: impl AsRef<Path>) -> Step {
        self.stdin = Some(path.as_ref().into());
        self
    }

    /// Expects this exit status instead of 0.
    pub fn status(mut self, status: i32) -> Step {
        self.status = status;
        self
    }

    /// Lets it have this many kilobytes of address space, and each program that it starts as many.
    pub fn address_space(mut self, kilobytes: u64) -> Step {
        self.address_space = Some(kilobytes);
        self
    }

    /// Leaves the output out of the comparison: it has times or process numbers in it.
    pub fn output_varies(mut self) -> Step {
        self.varies = true;
        self
    }

    /// The program and its arguments, for people.
    fn in_short(&self) -> String {
        let words = [self.program.as_os_str()].into_iter().chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }

    /// The command, in an environment that is the same on every machine but for `PATH` and the folders of Rust's tools.
    fn command(&self, work: &Path) -> Command {
        let mut command = match self.address_space {
            None => Command::new(&self.program),
            Some(kilobytes) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("ulimit -v {kilobytes} && exec \"$@\"")).arg("sh").arg(&self.program);
                shell
            }
        };
        command.args(&self.arguments).current_dir(work).env_clear();
        for name in ["PATH", "RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", work).env("LC_ALL", "C").env("TZ", "UTC").env("TERM", "dumb");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        match &self.stdin {
            Some(path) => {
                let path = work.join(path);
                command.stdin(File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            }
            None => {
                command.stdin(Stdio::null());
            }
        }
        command
    }
}

/// Where two outputs part, in words.
fn first_difference(expected: &[u8], seen: &[u8]) -> String {
    let (expected_text, seen_text) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(seen));
    let (mut expected_lines, mut seen_lines) = (expected_text.lines(), seen_text.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (expected_lines.next(), seen_lines.next()) {
            (None, None) => return format!("{} bytes instead of {}", seen.len(), expected.len()),
            (plain, preloaded) if plain == preloaded => {}
            (plain, preloaded) => return format!("line {line}\nplain:     {plain:?}\npreloaded: {preloaded:?}"),
        }
    }
}
