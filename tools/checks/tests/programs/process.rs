//! One program from start to end: in a process group of its own, with its output in files. Of a program that hangs gdb
//! shows all threads, and then the whole group is killed.
//!
//! # Safety
//! One call of `kill`, which reads and writes no memory.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hakmem_checks::HANGS_AFTER;

use crate::presence::find;

unsafe extern "C" {
    fn kill(process: i32, signal: i32) -> i32;
}

const SIGKILL: i32 = 9;

/// A program under way. Dropped before its end (a test has failed), it is killed with all it has started.
pub struct Running {
    child: Child,
    command: String,
    stdout: PathBuf,
    stderr: PathBuf,
    deadline: Instant,
    ended: bool,
}

/// A program that has ended.
pub struct Ended {
    /// The command as a shell would take it, to be run again by hand.
    pub command: String,
    pub process: u32,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Running {
    /// Starts `command`; what it prints goes to the two files.
    pub fn start(mut command: Command, stdout: PathBuf, stderr: PathBuf) -> Running {
        let shown = format!("{command:?}");
        let file = |path: &PathBuf| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        command.stdout(file(&stdout)).stderr(file(&stderr)).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Running { child, command: shown, stdout, stderr, deadline: Instant::now() + HANGS_AFTER, ended: false }
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// True as long as the program has not ended.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for the end, also of all processes that the program has started and left behind; panics if it takes too
    /// long.
    pub fn wait(mut self) -> Ended {
        let status = self.until("did not end", |running| running.child.try_wait().expect("a child can be waited for"));
        self.until("left processes behind that did not end", |running| running.group().is_empty().then_some(()));
        self.ended = true;
        let stdout = std::fs::read(&self.stdout).expect("the output file is readable");
        let stderr = String::from_utf8_lossy(&std::fs::read(&self.stderr).expect("the output file is readable")).into();
        Ended { command: std::mem::take(&mut self.command), process: self.child.id(), status, stdout, stderr }
    }

    /// Asks until there is an answer; panics with the state of all threads if it takes too long.
    fn until<T>(&mut self, otherwise: &str, mut answer: impl FnMut(&mut Running) -> Option<T>) -> T {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(answer) = answer(self) {
                return answer;
            }
            if Instant::now() > self.deadline {
                let threads = self.backtraces();
                let words = self.last_words();
                panic!("{otherwise} within {HANGS_AFTER:?}: {}\n{words}\n{threads}", self.command);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The end of what the program has printed on stderr so far.
    pub fn last_words(&self) -> String {
        let printed = std::fs::read(&self.stderr).unwrap_or_default();
        format!("stderr: {}", tail(&String::from_utf8_lossy(&printed)))
    }

    /// The backtraces of every thread of the program and of the processes that it has started, if gdb is installed.
    fn backtraces(&self) -> String {
        let Some(gdb) = find("gdb") else { return "(install gdb to see here where it stood)".into() };
        let mut text = String::new();
        for process in self.group().into_iter().take(8) {
            let seen = Command::new("timeout")
                .args(["20", gdb.to_str().expect("a path in UTF-8"), "-p", &process, "-nx", "-batch"])
                .args(["-iex", "set auto-load python-scripts off"])
                .args(["-ex", "info inferiors", "-ex", "thread apply all backtrace 24"])
                .stdin(Stdio::null())
                .output();
            if let Ok(seen) = seen {
                text += &String::from_utf8_lossy(&seen.stdout);
            }
        }
        text
    }

    /// The living processes of the program's group.
    fn group(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| living_group_of(name) == Some(self.child.id())).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: kill reads and writes no memory; the group is one that `start` made.
            unsafe { kill(-(self.child.id() as i32), SIGKILL) };
            let _ = self.child.wait();
        }
    }
}

/// The process group of a process given by its name in `/proc`, unless it has ended and only waits to be collected.
fn living_group_of(process: &str) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before the last parenthesis may hold anything; after it come state, parent and group.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" { None } else { fields.nth(1)?.parse().ok() }
}

/// The last lines of a text, enough to see the cause of a failure.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// An exit status in words.
pub fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(6)) => "signal 6 (SIGABRT)".into(),
        (None, Some(11)) => "signal 11 (SIGSEGV)".into(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "neither exit status nor signal".into(),
    }
}
