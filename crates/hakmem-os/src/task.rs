//! What the kernel knows about a thread of this process: whether it ran, and in what it waits.
//!
//! Another thread's heap may be served completely only while that thread is surely not in the middle of a fast path. Three
//! facts prove it: it used no processor time between two looks at its clock; between them it was blocked in a system call
//! of those in which threads wait for work, which the fast paths do not make; and it was not in a signal handler, which
//! might have interrupted a fast path: a handler has its own signal blocked.
//!
//! # Safety
//! The calls write into buffers of this frame.

use crate::file;
use crate::kernel::{Call, count};
use crate::syscall::syscall;
use core::ffi::CStr;
use core::fmt::{self, Write};

/// The calling thread's number.
pub fn id() -> u32 {
    // SAFETY: no arguments.
    unsafe { syscall(libc::SYS_gettid, [0; 6]) as u32 }
}

/// Processor time that thread `id` of this process has used, in nanoseconds, up to this moment if it is running; `None` if
/// there is no such thread.
///
/// The clock of a thread is named by its number: see `clock_getcpuclockid(3)` and the kernel's `posix-timers_types.h`.
pub fn time_used(id: u32) -> Option<u64> {
    const OF_A_THREAD: u32 = 4 | 2;
    count(Call::Other);
    let clock = !id << 3 | OF_A_THREAD;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the timespec.
    let result =
        unsafe { syscall(libc::SYS_clock_gettime, [clock as i32 as usize, &raw mut time as usize, 0, 0, 0, 0]) };
    (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Whether the clocks of threads tell every step, as Linux' do; one that ticks now and then would prove nothing.
pub fn clocks_are_exact() -> bool {
    let me = id();
    let mut last = time_used(me);
    last.is_some() && (0..8).all(|_| core::mem::replace(&mut last, time_used(me)) < last)
}

/// Text in a buffer; what does not fit is lost.
struct Text<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = self.bytes.get_mut(self.used..self.used + text.len()).ok_or(fmt::Error)?;
        rest.copy_from_slice(text.as_bytes());
        self.used += text.len();
        Ok(())
    }
}

/// Calls `see` with each line of a file about thread `id`, until it has seen enough.
fn lines_of(id: u32, name: &str, see: impl FnMut(&[u8]) -> bool) {
    let mut path = Text::<48> { bytes: [0; 48], used: 0 };
    if write!(path, "/proc/self/task/{id}/{name}\0").is_ok()
        && let Ok(path) = CStr::from_bytes_until_nul(&path.bytes)
    {
        file::lines::<80>(path, see);
    }
}

/// Whether thread `id` is blocked in a system call in which threads wait for work, outside any signal handler. False where
/// that cannot be known.
pub fn waits_for_work(id: u32) -> bool {
    let mut waits = false;
    lines_of(id, "syscall", |line| {
        waits = is_wait(line);
        true
    });
    waits && {
        let mut signals = Signals::default();
        lines_of(id, "status", |line| {
            signals.see(line);
            signals.blocked.is_some() && signals.caught.is_some()
        });
        !signals.in_handler()
    }
}

/// Whether a line of `/proc/.../syscall` (number, six arguments, stack and instruction pointer) is a wait for work. Those that
/// change the signal mask while they wait would hide that a handler is running, so they count only without a mask. Left out
/// on purpose are waits for children: a child made by `vfork` or the like may be using the waiting thread's heap.
fn is_wait(line: &[u8]) -> bool {
    /// Calls, and the place of the argument that is a signal mask.
    const WAITS: [(libc::c_long, Option<usize>); 19] = [
        (libc::SYS_futex, None),
        (libc::SYS_nanosleep, None),
        (libc::SYS_clock_nanosleep, None),
        (libc::SYS_poll, None),
        (libc::SYS_ppoll, Some(3)),
        (libc::SYS_select, None),
        (libc::SYS_pselect6, Some(5)),
        (libc::SYS_epoll_wait, None),
        (libc::SYS_epoll_pwait, Some(4)),
        (libc::SYS_epoll_pwait2, Some(4)),
        (libc::SYS_read, None),
        (libc::SYS_recvfrom, None),
        (libc::SYS_recvmsg, None),
        (libc::SYS_accept, None),
        (libc::SYS_accept4, None),
        (libc::SYS_io_getevents, None),
        (libc::SYS_io_uring_enter, Some(4)),
        (libc::SYS_semtimedop, None),
        // What is left of a timed wait after the process was stopped.
        (libc::SYS_restart_syscall, None),
    ];
    let mut words = line.split(|byte| byte.is_ascii_whitespace());
    let number = words.next().and_then(|word| core::str::from_utf8(word).ok()?.parse::<libc::c_long>().ok());
    let wait = WAITS.iter().find(|wait| Some(wait.0) == number);
    wait.is_some_and(|(_, mask)| mask.is_none_or(|place| words.nth(place) == Some(b"0x0")))
}

/// Signals of a thread, one bit each, signal 1 lowest; `None` while not known.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Signals {
    blocked: Option<u64>,
    caught: Option<u64>,
}

impl Signals {
    /// Takes a line of `/proc/.../status` in.
    fn see(&mut self, line: &[u8]) {
        let set = |name: &[u8]| {
            let digits = core::str::from_utf8(line.strip_prefix(name)?).ok()?;
            u64::from_str_radix(digits.trim(), 16).ok()
        };
        self.blocked = self.blocked.or_else(|| set(b"SigBlk:"));
        self.caught = self.caught.or_else(|| set(b"SigCgt:"));
    }

    /// Whether the thread may be in a handler: a caught signal is blocked, or would not be while its handler runs.
    fn in_handler(self) -> bool {
        let (Some(blocked), Some(caught)) = (self.blocked, self.caught) else { return true };
        let has_handler = |signal: &usize| caught & 1 << (signal - 1) != 0;
        blocked & caught != 0 || (1..=64).filter(has_handler).any(is_not_deferred)
    }
}

/// Whether the handler of `signal` runs with the signal unblocked.
fn is_not_deferred(signal: usize) -> bool {
    // The kernel's `struct sigaction` on x86-64: handler, flags, restorer, mask.
    let mut action = [0_usize; 4];
    // SAFETY: writes the four words.
    let result = unsafe { syscall(libc::SYS_rt_sigaction, [signal, 0, action.as_mut_ptr() as usize, 8, 0, 0]) };
    result != 0 || action[1] & libc::SA_NODEFER as usize != 0
}

/// Whether this thread's system calls pass a filter that the program or its starter installed.
pub fn is_filtered() -> bool {
    count(Call::Other);
    // SAFETY: asks for a number.
    unsafe { syscall(libc::SYS_prctl, [libc::PR_GET_SECCOMP as usize, 0, 0, 0, 0, 0]) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_from_other_calls() {
        assert!(is_wait(b"202 0x7f 0x80 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f12\n"));
        assert!(is_wait(b"271 0x1 0x1 0x0 0x0 0x8 0x0 0x7ffd 0x7f12\n"), "ppoll without a mask");
        for other in [
            &b"running\n"[..],
            b"-1 0x7ffd 0x7f12",
            b"271 0x1 0x1 0x0 0x7ffe 0x8 0x0",
            b"130 0x1",
            b"58 0x0",
            b"61 0x1",
            b"",
        ] {
            assert!(!is_wait(other), "{}", other.escape_ascii());
        }
    }

    #[test]
    fn a_blocked_signal_with_a_handler_may_be_a_handler_at_work() {
        let read = |lines: &[&str]| {
            let mut signals = Signals::default();
            lines.iter().for_each(|line| signals.see(line.as_bytes()));
            signals.in_handler()
        };
        assert!(!read(&[
            "Name:\tx",
            "SigBlk:\t0000000000000000",
            "SigIgn:\t0000000000000000",
            "SigCgt:\t0000000000000000"
        ]));
        assert!(!read(&["SigBlk:\t0000000180000006", "SigCgt:\t0000000000000000"]));
        assert!(read(&["SigBlk:\t0000000000000006", "SigCgt:\t0000000000000002"]));
        assert!(read(&["SigBlk:\t0000000000000000"]), "what is not known may be");
    }

    #[test]
    fn a_sleeping_thread_is_seen_to_sleep_and_a_running_one_to_run() {
        use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
        static SLEEPER: AtomicU32 = AtomicU32::new(0);
        static RUNNING: AtomicBool = AtomicBool::new(true);
        static AWAKE: AtomicBool = AtomicBool::new(true);
        assert!(clocks_are_exact());
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                SLEEPER.store(id(), SeqCst);
                while RUNNING.load(SeqCst) {
                    core::hint::spin_loop();
                }
                while AWAKE.load(SeqCst) {
                    std::thread::park();
                }
            });
            while SLEEPER.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            assert!(!waits_for_work(SLEEPER.load(SeqCst)), "that thread runs");
            RUNNING.store(false, SeqCst);
            while !waits_for_work(SLEEPER.load(SeqCst)) {
                std::thread::yield_now();
            }
            let used = time_used(SLEEPER.load(SeqCst));
            assert!(used.is_some());
            assert_eq!(used, time_used(SLEEPER.load(SeqCst)));
            AWAKE.store(false, SeqCst);
            sleeper.thread().unpark();
        });
        assert_eq!(time_used(u32::MAX >> 4), None);
    }
}
