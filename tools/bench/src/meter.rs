//! What one run is measured by: time, CPU time, page faults and resident memory, read without touching the allocator.
//!
//! # Safety
//! Calls of libc that fill a struct of the caller's.

use crate::{
    calls::{self, Mark},
    latency::Latency,
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{CStr, c_int},
    mem::MaybeUninit,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// How long the threads that [`add_waiting`] was called in have waited for a CPU.
static WAITED_NS: AtomicU64 = AtomicU64::new(0);

/// What a worker reports, as one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Operations of the timed part.
    pub operations: u64,
    /// Wall-clock time of the timed part.
    pub wall_ns: u64,
    /// CPU time of all threads in the timed part.
    pub cpu_ns: u64,
    /// The part of the CPU time that was spent in the kernel.
    pub system_ns: u64,
    /// Page faults of the timed part, with and without a disk access.
    pub page_faults: u64,
    /// Time in which a thread could have run but had to wait for a CPU; for a run on a quiet machine next to nothing.
    pub waited_ns: u64,
    /// Resident memory before the workload, in KiB.
    pub rss_start_kib: u64,
    /// The highest resident memory of the process.
    pub rss_peak_kib: u64,
    /// Resident memory when every block has been freed.
    pub rss_freed_kib: u64,
    /// The same after some idle seconds, where that was asked for.
    pub rss_idle_kib: Option<u64>,
    /// The same after `malloc_trim`, where that was asked for and the library has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_trimmed_kib: Option<u64>,
    /// The largest address space of the process.
    #[serde(default)]
    pub address_space_kib: u64,
    /// System calls of the timed part, where they were counted, in a run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_calls: Option<u64>,
    /// Resident beside live memory over simulated time, in rows that have it; the first point is before the first block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// How long single calls took, in rows that measure that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What a server has when its load is gone, in rows of servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerMemory>,
    /// The library that `malloc` resolves to.
    pub malloc_library: String,
    /// Which version that library says it is.
    pub version: String,
}

/// Resident and live memory at one moment of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The hour.
    pub hour: f64,
    /// What is resident.
    pub rss_kib: u64,
    /// What the program has in use.
    pub live_kib: u64,
}

/// What a server's processes have together when its load is gone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerMemory {
    /// Three seconds later.
    pub after_3s_kib: u64,
    /// Ten seconds later.
    pub after_10s_kib: u64,
    /// What the load leaves live, or the server keeps by design.
    pub live_kib: u64,
}

/// What [`Meter::settle`] does beside reading the memory that is left.
#[derive(Clone, Copy, Debug)]
pub struct Settling {
    /// Seconds to wait, in which nothing is called.
    pub idle: u32,
    /// `malloc_trim`, to be called after that, if the library has it.
    pub trim: Option<extern "C" fn(usize) -> c_int>,
}

impl Measurement {
    /// What the kernel says about a whole process and its children.
    pub fn of_process(wall: Duration, usage: &libc::rusage) -> Self {
        let nanoseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
        let (user, system) = (nanoseconds(usage.ru_utime), nanoseconds(usage.ru_stime));
        Self {
            operations: 1,
            wall_ns: wall.as_nanos() as u64,
            cpu_ns: user + system,
            system_ns: system,
            page_faults: (usage.ru_minflt + usage.ru_majflt) as u64,
            rss_peak_kib: usage.ru_maxrss as u64,
            ..Self::default()
        }
    }
}

/// The clocks and counters of the process at one moment.
#[derive(Clone, Copy)]
struct Reading {
    wall_ns: u64,
    cpu_ns: u64,
    system_ns: u64,
    page_faults: u64,
    waited_ns: u64,
}

/// Measures the timed part of a workload.
pub struct Meter {
    began: Option<Reading>,
    settling: Option<Settling>,
    settled: bool,
    paused_ns: u64,
    measurement: Measurement,
}

impl Meter {
    /// A meter that has read the memory at the start, and will do as `settling` says when all is freed.
    pub fn new(settling: Option<Settling>) -> Self {
        let measurement = Measurement { rss_start_kib: resident_kib(), ..Measurement::default() };
        Self { began: None, settling, settled: false, paused_ns: 0, measurement }
    }

    /// The timed part begins.
    pub fn start(&mut self) {
        self.began = Some(Reading::now());
        calls::mark(Mark::Start);
    }

    /// The timed part ends after `operations` operations.
    pub fn stop(&mut self, operations: u64) {
        calls::mark(Mark::Stop);
        let ended = Reading::now();
        let began = self.began.expect("a workload starts the meter before it stops it");
        self.measurement.operations = operations;
        self.measurement.wall_ns = (ended.wall_ns - began.wall_ns).saturating_sub(self.paused_ns);
        self.measurement.cpu_ns = ended.cpu_ns - began.cpu_ns;
        self.measurement.system_ns = ended.system_ns - began.system_ns;
        self.measurement.page_faults = ended.page_faults - began.page_faults;
        self.measurement.waited_ns = ended.waited_ns.saturating_sub(began.waited_ns);
    }

    /// How long single calls took.
    pub fn record_latency(&mut self, latency: Latency) {
        self.measurement.latency = Some(latency);
    }

    /// Notes what is resident and live at an hour of simulated time.
    pub fn record_memory(&mut self, hour: f64, live_bytes: usize) {
        // The cheap counter: the other one would walk the whole heap each time.
        let rss_kib = resident_kib_about();
        self.measurement.drift.push(Drift { hour, rss_kib, live_kib: live_bytes as u64 / 1024 });
    }

    /// Sleeps in the timed part without being timed.
    pub fn pause(&mut self, milliseconds: u64) {
        let began = clock_ns(libc::CLOCK_MONOTONIC);
        thread::sleep(Duration::from_millis(milliseconds));
        self.paused_ns += clock_ns(libc::CLOCK_MONOTONIC) - began;
    }

    /// The workload has freed everything: reads the memory that is left, at once, after idle seconds and after
    /// `malloc_trim`, as far as these are asked for. A workload calls it whose threads must still be there.
    pub fn settle(&mut self) {
        self.settled = true;
        self.measurement.rss_freed_kib = resident_kib();
        let Some(settling) = self.settling else { return };
        if settling.idle > 0 {
            // SAFETY: sleeping has no conditions. libc's own call, so that nothing else runs in that time.
            unsafe { libc::sleep(settling.idle) };
            self.measurement.rss_idle_kib = Some(resident_kib());
        }
        if let Some(trim) = settling.trim {
            trim(0);
            self.measurement.rss_trimmed_kib = Some(resident_kib());
        }
    }

    /// The workload is at its end: reads what is left, if it has not done so itself, and the peaks.
    pub fn finish(mut self) -> Measurement {
        if !self.settled {
            self.settle();
        }
        let seen = self.measurement.rss_start_kib.max(self.measurement.rss_freed_kib);
        self.measurement.rss_peak_kib = kib_after(c"/proc/self/status", b"VmHWM:").max(seen);
        self.measurement.address_space_kib = kib_after(c"/proc/self/status", b"VmPeak:");
        self.measurement
    }
}

impl Reading {
    fn now() -> Self {
        let mut usage = MaybeUninit::uninit();
        // SAFETY: the call fills the struct it is given, and with these arguments cannot fail.
        let usage: libc::rusage = unsafe {
            libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
            usage.assume_init()
        };
        let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
        Self {
            wall_ns: clock_ns(libc::CLOCK_MONOTONIC),
            cpu_ns: clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID),
            system_ns: microseconds(usage.ru_stime) * 1000,
            page_faults: (usage.ru_minflt + usage.ru_majflt) as u64,
            waited_ns: waited_ns() + WAITED_NS.load(Relaxed),
        }
    }
}

/// The value of one of the kernel's clocks.
pub fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the struct it is given.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Adds what the calling thread has waited for a CPU so far to what the process has; a thread calls it once, at its end.
pub fn add_waiting() {
    WAITED_NS.fetch_add(waited_ns(), Relaxed);
}

/// How long the calling thread has waited for a CPU: the second number of its schedstat.
fn waited_ns() -> u64 {
    let mut buffer = [0; 128];
    let text = read_file(c"/proc/thread-self/schedstat", &mut buffer);
    text.split(|byte| *byte == b' ').nth(1).map_or(0, number)
}

/// Resident memory of this process. The rollup is summed from the page tables; the cheaper counters lag behind.
pub fn resident_kib() -> u64 {
    kib_after(c"/proc/self/smaps_rollup", b"Rss:")
}

/// The same from a counter that may lag behind by some hundred KiB, but costs the same however large the process is.
fn resident_kib_about() -> u64 {
    let mut buffer = [0; 128];
    let text = read_file(c"/proc/self/statm", &mut buffer);
    text.split(|byte| *byte == b' ').nth(1).map_or(0, number) * 4
}

/// The number that follows `label` in a file of /proc.
fn kib_after(path: &CStr, label: &[u8]) -> u64 {
    let mut buffer = [0; 4096];
    let text = read_file(path, &mut buffer);
    let line = text.split(|byte| *byte == b'\n').find(|line| line.starts_with(label));
    line.map_or(0, |line| number(&line[label.len()..]))
}

/// Reads the beginning of a file into `buffer`, without an allocation.
fn read_file<'a>(path: &CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: the path ends in a zero byte, the buffer is written within its length, the descriptor is closed once.
    let length = unsafe {
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return &[];
        }
        let length = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(file);
        length
    };
    &buffer[..length.max(0) as usize]
}

/// The first decimal number in `text`.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timed_part_is_what_lies_between_start_and_stop() {
        let mut meter = Meter::new(None);
        meter.start();
        let until = clock_ns(libc::CLOCK_MONOTONIC) + 2_000_000;
        while clock_ns(libc::CLOCK_MONOTONIC) < until {}
        meter.stop(5);
        let measurement = meter.finish();
        assert_eq!(measurement.operations, 5);
        assert!(measurement.wall_ns >= 2_000_000 && measurement.cpu_ns > 0);
        assert!(measurement.rss_peak_kib >= measurement.rss_freed_kib);
        assert_eq!(measurement.rss_idle_kib, None);
    }
}
