//! Runs one process to its end: what it printed, what it used, and its memory over time.
//!
//! # Safety
//! Calls of libc on the child that this process started and has not waited for.

use anyhow::{Context, Result};
use std::{
    fs,
    io::{self, Read},
    mem::MaybeUninit,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How a process ended, and what it used with its children.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything it printed.
    pub output: String,
    /// Everything it printed to stderr.
    pub errors: String,
    /// From its start to its end.
    pub wall: Duration,
    /// What the kernel counted.
    pub usage: libc::rusage,
    /// Resident memory over time, if that was asked for: milliseconds and KiB.
    pub memory: Vec<(f64, u64)>,
    /// Whether the library was seen in its address space; unknown for a process too short to look at.
    pub has_library: Option<bool>,
}

/// How a run is watched.
pub struct Watch<'a> {
    /// When the process counts as hanging.
    pub timeout: Duration,
    /// Whether to record its memory over time.
    pub memory: bool,
    /// A library that must be in its address space.
    pub library: Option<&'a Path>,
}

/// Time between two looks at a process; it doubles whenever there are too many points.
const FIRST_INTERVAL: Duration = Duration::from_millis(4);

/// The number of points at which every other is dropped.
const MOST_POINTS: usize = 200;

/// After so many looks without the library it is not there.
const ENOUGH_LOOKS: usize = 5;

/// Runs a command to its end; nothing if it hangs and had to be killed.
pub fn run(command: &mut Command, watch: &Watch) -> Result<Option<Ended>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: the child calls nothing but prctl, which allocates nothing.
    unsafe {
        // A process that is alone in its group does not get the terminal's interrupt; this ends it all the same.
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let began = Instant::now();
    let name = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", name.display()))?;
    let process = child.id() as libc::pid_t;
    let output = read_all(child.stdout.take().expect("stdout is piped"));
    let errors = read_all(child.stderr.take().expect("stderr is piped"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let end = wait_for(process);
        // Nobody receives it only where the whole command is ending.
        let _ = sender.send((end, Instant::now()));
    });

    let mut interval = FIRST_INTERVAL;
    let (mut memory, mut looks, mut seen) = (Vec::new(), 0, false);
    let ((status, usage), ended) = loop {
        let watching = watch.memory || (watch.library.is_some() && !seen && looks < ENOUGH_LOOKS);
        let left = watch.timeout.saturating_sub(began.elapsed());
        let pause = if watching { interval.min(left) } else { left };
        if let Ok((end, when)) = receiver.recv_timeout(pause) {
            break (end?, when);
        }
        if began.elapsed() >= watch.timeout {
            // SAFETY: the group is the child's own, and the child has not been waited for, so its number is taken.
            unsafe { libc::kill(-process, libc::SIGKILL) };
            receiver.recv().context("a killed process does not end")?.0?;
            return Ok(None);
        }
        match watch.library.filter(|_| !seen).and_then(|library| maps(process, library)) {
            Some(true) => seen = true,
            Some(false) => looks += 1,
            None => {}
        }
        if watch.memory
            && let Some(kib) = resident_kib(process)
        {
            memory.push((began.elapsed().as_secs_f64() * 1e3, kib));
            if memory.len() > MOST_POINTS {
                interval *= 2;
                let mut index = 0;
                memory.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
        }
    };
    Ok(Some(Ended {
        status,
        output: output.join().expect("the reader does not panic"),
        errors: errors.join().expect("the reader does not panic"),
        wall: ended - began,
        usage,
        memory,
        has_library: if seen { Some(true) } else { (looks >= ENOUGH_LOOKS).then_some(false) },
    }))
}

/// How a process failed, with the last line it wrote to stderr.
pub fn describe(status: ExitStatus, errors: &str) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, code) => format!("ended with status {}", code.unwrap_or(-1)),
    };
    let lines: Vec<&str> = errors.lines().filter(|line| !line.trim().is_empty()).collect();
    // A Rust panic says what is wrong in the line after the one that says where.
    let said = lines.iter().position(|line| line.contains("panicked at")).map_or(lines.last(), |at| lines.get(at + 1));
    match said {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read until an error is all there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for a child to end: its exit status, and what the kernel counted for it and its children.
pub fn wait_for(process: libc::pid_t) -> Result<(ExitStatus, libc::rusage)> {
    let (mut status, mut usage) = (0, MaybeUninit::zeroed());
    // SAFETY: the call fills the two variables it is given; zeroes are a valid rusage where it does not.
    let (waited, usage) = unsafe { (libc::wait4(process, &mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    if waited != process {
        return Err(io::Error::last_os_error()).context("a process cannot be waited for");
    }
    Ok((ExitStatus::from_raw(status), usage))
}

/// Whether the library is in a process's address space; nothing where it is too early to say, before the dynamic loader has mapped
/// libc, which it does after what is preloaded.
pub fn maps(process: libc::pid_t, library: &Path) -> Option<bool> {
    let program = fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    if maps.contains(&*library.to_string_lossy()) {
        return Some(true);
    }
    let is_ours = fs::read_link("/proc/self/exe").is_ok_and(|ours| ours == program);
    let is_loading = maps.contains("/ld-linux") && !maps.contains("/libc.so") && !maps.contains("/libc-");
    (!is_ours && !is_loading && !maps.is_empty()).then_some(false)
}

/// Resident memory of a process; nothing once it is ending and has none.
fn resident_kib(process: libc::pid_t) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    (pages > 0).then_some(pages * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing but a hang explains that something takes as long.
    const HANGS_AFTER: Duration = Duration::from_secs(1800);

    fn watch(timeout: Duration) -> Watch<'static> {
        Watch { timeout, memory: true, library: None }
    }

    #[test]
    fn what_a_process_prints_and_how_it_ends_is_seen() {
        let mut command = Command::new("sh");
        let ended = run(command.args(["-c", "echo out; echo bad >&2; exit 3"]), &watch(HANGS_AFTER)).unwrap().unwrap();
        assert_eq!((ended.output.as_str(), ended.status.code()), ("out\n", Some(3)));
        assert_eq!(describe(ended.status, &ended.errors), "ended with status 3: bad");
    }

    #[test]
    fn a_process_that_hangs_is_killed_with_its_children() {
        let began = Instant::now();
        let ended = run(Command::new("sh").args(["-c", "sleep 7200; true"]), &watch(Duration::from_millis(100)));
        assert!(ended.unwrap().is_none() && began.elapsed() < HANGS_AFTER);
    }

    #[test]
    fn memory_is_seen_over_time() {
        // On a busy machine a process may have ended before anybody looks; one that lives for long enough is seen.
        let seen = ["0.1", "1", "10", "100", "1000"].iter().any(|seconds| {
            let ended = run(Command::new("sleep").arg(seconds), &watch(2 * HANGS_AFTER)).unwrap().unwrap();
            assert!(ended.memory.iter().all(|(_, kib)| *kib > 0), "{:?}", ended.memory);
            ended.memory.len() >= 2
        });
        assert!(seen, "never twice in one process");
    }
}
