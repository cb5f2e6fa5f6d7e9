//! One run of a program: its environment, a limit on its time, and its output.

use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that has not ended by then hangs. This is a hundred times as long as the longest program takes on two idle
/// cores, so that no program is killed where twenty busy processes share the cores with the other tests.
pub const HANGS_AFTER: Duration = Duration::from_secs(1800);

/// A program about to run.
pub struct Run {
    executable: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    shell: Option<String>,
    user: Option<u32>,
    hangs_after: Duration,
}

/// How a run ended.
pub struct Outcome {
    /// The command, for messages.
    pub what: String,
    /// Exit status; `None` when the program hung and was killed.
    pub status: Option<ExitStatus>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// A run of `executable`, with none of the allocator's settings in its environment.
    pub fn new(executable: &Path) -> Run {
        Run {
            executable: executable.to_path_buf(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            shell: None,
            user: None,
            hangs_after: HANGS_AFTER,
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// One more variable in the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Run {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The directory to run in.
    pub fn current_dir(mut self, directory: &Path) -> Run {
        self.directory = Some(directory.to_path_buf());
        self
    }

    /// A shell command to run first in the same process, such as `ulimit -v 100000`.
    pub fn after(mut self, shell: &str) -> Run {
        self.shell = Some(shell.to_owned());
        self
    }

    /// Runs as this user instead.
    pub fn user(mut self, user: u32) -> Run {
        self.user = Some(user);
        self
    }

    /// Limits the time to a minute: for a program that hangs on other libraries, whose end there does not matter.
    pub fn may_hang(mut self) -> Run {
        self.hangs_after = Duration::from_secs(60);
        self
    }

    /// Runs to the end, or kills the program and all processes that it started when it hangs.
    pub fn finish(&self) -> Outcome {
        let output = tempfile::tempdir().expect("a temporary directory");
        let (stdout, stderr) = (output.path().join("stdout"), output.path().join("stderr"));
        let create = |path: &Path| File::create(path).expect("a file for the output");
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.executable.display()));
        let status = wait(&mut child, self.hangs_after);
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Outcome { what: self.describe(), status, stdout: read(&stdout), stderr: read(&stderr) }
    }

    /// Runs to the end; panics unless it ends with exit status 0.
    pub fn succeed(&self) -> Outcome {
        let outcome = self.finish();
        assert!(outcome.status.is_some_and(|status| status.success()), "{outcome}");
        outcome
    }

    fn command(&self) -> Command {
        // The variables reach the program and not the shell that starts it: a preload into the shell would prove
        // something else.
        let mut command = match &self.shell {
            None => Command::new(&self.executable),
            Some(first) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", &format!("{first} && exec env \"$@\""), "sh"]);
                command.args(self.environment.iter().map(|(name, value)| {
                    let mut assignment = name.clone();
                    assignment.push("=");
                    assignment.push(value);
                    assignment
                }));
                command.arg(&self.executable);
                command
            }
        };
        command.args(&self.arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HAKMEM_") || name == "LD_PRELOAD" {
                command.env_remove(name);
            }
        }
        if self.shell.is_none() {
            command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }

    fn describe(&self) -> String {
        let mut words: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect();
        words.extend(self.shell.iter().map(|first| format!("({first})")));
        words.push(self.executable.display().to_string());
        words.extend(self.arguments.iter().map(|argument| argument.display().to_string()));
        words.join(" ")
    }
}

/// Waits for `child`; if it hangs, kills it with its whole process group and returns `None`.
fn wait(child: &mut Child, hangs_after: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + hangs_after;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    let group = Pid::from_child(child);
    kill_process_group(group, Signal::KILL).expect("the child leads a process group");
    child.wait().expect("the child can be waited for");
    None
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n  ", self.what)?;
        match self.status {
            None => write!(out, "hung and was killed")?,
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(out, "exited with {code}")?,
                (None, signal) => write!(out, "was killed by signal {}", signal.unwrap_or_default())?,
            },
        }
        write!(out, "\n  stdout: {}\n  stderr: {}", self.stdout.trim_end(), self.stderr.trim_end())
    }
}
