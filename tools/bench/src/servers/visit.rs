//! One visit to a server: start, fill, empty, idle, stop; and its memory at each of these points.
//!
//! # Safety
//! Calls of libc on the server, which this process started and has not waited for.

use super::{Place, ProcessTree, Server};
use crate::{
    candidates::Candidate,
    meter::{Measurement, ServerMemory},
    process,
};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Time between two looks at the memory of a server that is being loaded.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Time between two attempts to connect to a server that is starting.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// How long a server may take to end by itself.
const TO_END: Duration = Duration::from_secs(20);

/// What the server says, and what clients do that are programs: in its folder. Why clients failed says more than how the
/// server was stopped thereafter.
const LOGS: [&str; 2] = [CLIENTS_LOG, SERVER_LOG];

const SERVER_LOG: &str = "server.log";

/// What clients say.
pub const CLIENTS_LOG: &str = "clients.log";

/// Visits a server under a candidate; the inner error is how that failed.
pub fn visit(
    server: &Server,
    place: &Place,
    candidate: &Candidate,
    timeout: Duration,
) -> Result<Result<Measurement, String>> {
    if let Err(error) = server.prepare(place) {
        return Ok(Err(format!("its folder cannot be made: {error:#}")));
    }
    let running = Running::start(server, place, candidate)?;
    let watched = Watched::default();
    let visited = thread::scope(|scope| {
        scope.spawn(|| watched.look(running.tree, timeout));
        let visited = running.visit(server, place, candidate, &watched);
        watched.done.store(true, Relaxed);
        visited
    });
    let hung = watched.hung.load(Relaxed);
    let usage = running.stop()?;
    Ok(match visited {
        Ok(visited) => Ok(visited.measurement(&watched, &usage)),
        Err(_) if hung => Err(format!("was not done within {timeout:?}")),
        Err(error) => {
            let said = LOGS.iter().find_map(|log| last_line(&fs::read(place.folder.join(log)).unwrap_or_default()));
            Err(said.map_or(format!("{error:#}"), |line| format!("{error:#} ({line})")))
        }
    })
}

/// The last line of a log that says something.
fn last_line(log: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(log);
    text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// A log of a place, to be added to.
pub fn log(place: &Place, name: &str) -> Result<File> {
    let log = File::options().create(true).append(true).open(place.folder.join(name));
    log.with_context(|| format!("no log in {}", place.folder.display()))
}

/// A server that was started, and is not waited for before it is stopped: so its number stays its own.
struct Running {
    tree: ProcessTree,
}

/// What a visit found.
struct Visited {
    memory: ServerMemory,
    start_kib: u64,
    emptied_kib: u64,
    loaded_for: Duration,
}

impl Running {
    fn start(server: &Server, place: &Place, candidate: &Candidate) -> Result<Self> {
        for left in ["socket", SERVER_LOG, CLIENTS_LOG] {
            // What an earlier visit left; nothing at the first.
            let _ = fs::remove_file(place.folder.join(left));
        }
        let file = server.file().with_context(|| format!("{} is not installed", server.program))?;
        let mut command = Command::new(file);
        (server.arguments)(&mut command, place);
        command.current_dir(&place.folder).env_remove("LD_PRELOAD").envs(candidate.environment.iter().cloned());
        if let Some(library) = candidate.preload(server.brings_allocator)? {
            command.env("LD_PRELOAD", library);
        }
        command.stdin(Stdio::null()).stdout(log(place, SERVER_LOG)?).stderr(log(place, SERVER_LOG)?).process_group(0);
        // SAFETY: the child calls nothing but prctl, which allocates nothing.
        unsafe {
            // A server does not outlive this command.
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let child = command.spawn().with_context(|| format!("{} cannot be started", server.program))?;
        Ok(Self { tree: ProcessTree { root: child.id() as libc::pid_t } })
    }

    fn visit(&self, server: &Server, place: &Place, candidate: &Candidate, watched: &Watched) -> Result<Visited> {
        let mut load = loop {
            match (server.connect)(place) {
                Ok(load) => break load,
                Err(error) if self.has_ended() => return Err(error.context("it ended before it was ready")),
                Err(_) => thread::sleep(BETWEEN_ATTEMPTS),
            }
        };
        if let Some(library) = &candidate.library
            && process::maps(self.tree.root, library) != Some(true)
        {
            bail!("it runs without the library: it is linked statically, or sets it aside");
        }
        let start_kib = watched.now(self.tree);
        let live_before = load.live()?;
        let began = Instant::now();
        load.fill().context("its clients could not fill it")?;
        watched.now(self.tree);
        load.empty().context("its clients could not empty it")?;
        let ended = Instant::now();
        let emptied_kib = watched.now(self.tree);
        let live = load.live()?.saturating_sub(live_before);
        let [after_3s_kib, after_10s_kib] = [3, 10].map(|seconds| {
            thread::sleep((ended + Duration::from_secs(seconds)).saturating_duration_since(Instant::now()));
            watched.now(self.tree)
        });
        if self.has_ended() {
            bail!("it ended while it was idle");
        }
        let memory = ServerMemory { after_3s_kib, after_10s_kib, live_kib: live / 1024 };
        Ok(Visited { memory, start_kib, emptied_kib, loaded_for: ended - began })
    }

    /// Whether the server's first process has ended: then it is a zombie.
    fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.tree.root)).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"))
    }

    /// Ends it, by force if it does not end by itself, and returns what the kernel counted.
    fn stop(self) -> Result<libc::rusage> {
        // SAFETY: the process has not been waited for, so its number is its own.
        unsafe { libc::kill(self.tree.root, libc::SIGTERM) };
        let began = Instant::now();
        while !self.has_ended() && began.elapsed() < TO_END {
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        self.tree.kill();
        Ok(process::wait_for(self.tree.root)?.1)
    }
}

impl Visited {
    fn measurement(self, watched: &Watched, usage: &libc::rusage) -> Measurement {
        Measurement {
            rss_start_kib: self.start_kib,
            rss_peak_kib: watched.highest_kib.load(Relaxed),
            rss_freed_kib: self.emptied_kib,
            rss_idle_kib: Some(self.memory.after_3s_kib),
            server: Some(self.memory),
            ..Measurement::of_process(self.loaded_for, usage)
        }
    }
}

/// What is seen of a server while its clients are busy.
#[derive(Default)]
struct Watched {
    highest_kib: AtomicU64,
    done: AtomicBool,
    hung: AtomicBool,
}

impl Watched {
    /// Looks until the visit is done. A server that takes too long is killed, which ends whatever waits for it.
    fn look(&self, tree: ProcessTree, timeout: Duration) {
        let began = Instant::now();
        while !self.done.load(Relaxed) {
            self.now(tree);
            if began.elapsed() > timeout {
                self.hung.store(true, Relaxed);
                tree.kill();
                return;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// What the server has in memory now.
    fn now(&self, tree: ProcessTree) -> u64 {
        let memory = tree.memory();
        // The kernel knows the highest moment of a single process; that of several together is what was seen.
        self.highest_kib.fetch_max(memory.pss_kib.max(memory.highest_rss_kib), Relaxed);
        memory.pss_kib
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_one_that_says_something() {
        assert_eq!(
            last_line(
                b"first
second

  
"
            )
            .as_deref(),
            Some("second")
        );
        assert_eq!(
            last_line(
                b"
"
            ),
            None
        );
    }
}
