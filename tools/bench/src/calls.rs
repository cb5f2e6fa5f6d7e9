//! Counts the system calls of a run's timed part: this process starts the worker as its child and watches it with ptrace.
//!
//! No privilege is needed, and no program beside this one. Each call costs the worker two stops, so that a counted run
//! measures nothing else.
//!
//! # Safety
//! Between fork and exec the child makes one system call. A union of the kernel's is read where its tag says so.

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    env,
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Where the timed part lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// It begins.
    Start = 0,
    /// It has ended.
    Stop = 1,
}

/// Numbers of system calls that no kernel has: the worker makes them to show where its timed part lies.
const FIRST_MARK: u64 = 100_000;

/// Whether somebody counts.
static MARKING: AtomicBool = AtomicBool::new(false);

/// From here on [`mark`] tells whoever counts.
pub fn begin_marking() {
    MARKING.store(true, Relaxed);
}

/// Shows whoever counts that the timed part begins or has ended.
pub fn mark(mark: Mark) {
    if MARKING.load(Relaxed) {
        // SAFETY: the kernel has no such call and answers so.
        unsafe { libc::syscall((FIRST_MARK + mark as u64) as libc::c_long) };
    }
}

/// Runs this command again with `arguments`, and returns what it printed and the system calls of its timed part.
pub fn count(arguments: &[String]) -> Result<(String, u64)> {
    let mut command = Command::new(env::current_exe().context("the path of this command cannot be read")?);
    command.args(arguments).stdout(Stdio::piped());
    // SAFETY: the child makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(io::Error::from)) };
    let mut child = command.spawn().context("a process to be watched cannot be started")?;
    let worker = Pid::from_raw(child.id() as libc::pid_t);
    let calls = watch(worker)?;
    let mut output = String::new();
    // One line, which the pipe holds though its writer is gone.
    child.stdout.take().expect("stdout is piped").read_to_string(&mut output)?;
    Ok((output, calls))
}

/// Lets a stopped child and its threads run to their end; counts the calls of all of them between the two marks.
fn watch(worker: Pid) -> Result<u64> {
    let (mut calls, mut timed, mut first) = (0, false, true);
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL)).context("a watched process cannot be waited for")?;
        let (stopped, signal) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                match entered(thread) {
                    Some(number) if number == FIRST_MARK + Mark::Start as u64 => timed = true,
                    Some(number) if number == FIRST_MARK + Mark::Stop as u64 => timed = false,
                    Some(_) if timed => calls += 1,
                    _ => {}
                }
                (thread, None)
            }
            // The stop at its exec, the only one before the options are set.
            WaitStatus::Stopped(process, _) if first && process == worker => {
                first = false;
                let wanted = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
                ptrace::setoptions(worker, wanted).context("a process cannot be watched")?;
                (process, None)
            }
            // A new thread begins with a stop that is not meant for it.
            WaitStatus::Stopped(thread, nix::sys::signal::SIGSTOP | nix::sys::signal::SIGTRAP) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::PtraceEvent(thread, ..) => (thread, None),
            WaitStatus::Exited(process, status) if process == worker => {
                return if status == 0 { Ok(calls) } else { bail!("the watched process ended with status {status}") };
            }
            WaitStatus::Signaled(process, signal, _) if process == worker => {
                bail!("the watched process was killed by {signal}")
            }
            _ => continue,
        };
        match ptrace::syscall(stopped, signal) {
            // It was killed while it stood.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).context("a watched process cannot go on"),
        }
    }
}

/// The number of the system call that a stopped thread is about to make; nothing where it comes back from one.
fn entered(thread: Pid) -> Option<u64> {
    let info = ptrace::syscall_info(thread).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: with this tag the kernel has filled the part for entries.
    Some(unsafe { info.u.entry.nr })
}
