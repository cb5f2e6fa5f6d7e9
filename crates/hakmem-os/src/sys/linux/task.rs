//! What the kernel knows about the threads of this process: whether a thread waits for work, and whether it ran in between. It also
//! reads and writes the memory of another thread.
//!
//! The heap of another thread may be emptied only while that thread cannot be in the middle of a fast path. Two looks at the thread
//! prove that, under three conditions:
//!
//! 1. Both looks find it blocked in a system call in which threads wait for work. The fast paths make no system call.
//! 2. No signal handler can be running in it, since a handler might have interrupted a fast path.
//! 3. Its number of context switches is the same at both looks. A thread that ran in between and blocked again has one more.
//!
//! All of this comes from files below `/proc`. Reading them takes descriptors, so only the helper thread asks, which has a descriptor
//! table of its own.
//!
//! # Safety
//! The calls write into buffers of this module's own. [`Memory::clear`] writes into the memory of another thread, after a look at the
//! word that identifies that memory.

use super::file::{self, File};
use crate::arch::signal::Action;
use crate::arch::slot;
use crate::arch::syscall::OLDER_WAITS;
use core::ffi::CStr;
use core::fmt::{self, Write};

/// Text in a buffer. Writing fails where the text does not fit.
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

/// Calls `see` with each line of the file `name` about thread `id`, until `see` returns true for "enough".
fn lines_of(id: u32, name: &str, see: impl FnMut(&[u8]) -> bool) {
    let mut path = Text::<48> { bytes: [0; 48], used: 0 };
    if write!(path, "/proc/self/task/{id}/{name}\0").is_ok()
        && let Ok(path) = CStr::from_bytes_until_nul(&path.bytes)
    {
        file::lines::<80>(path, see);
    }
}

/// The number of context switches of thread `id`, if it is blocked in a system call in which threads wait for work and runs no signal
/// handler. `None` where that is not so or cannot be known.
pub fn blocked(id: u32) -> Option<u64> {
    let status = Status::of(id);
    (waits(id) && !status.may_be_in_handler()).then_some(status.switches).flatten()
}

/// Whether thread `id` has not run since [`blocked`] returned `switches`.
pub fn still_blocked(id: u32, switches: u64) -> bool {
    // The number is read last. If it were read first, the thread could run and block again before the look at its system call.
    waits(id) && Status::of(id).switches == Some(switches)
}

/// Whether thread `id` is blocked in a system call in which threads wait for work.
fn waits(id: u32) -> bool {
    let mut waits = false;
    lines_of(id, "syscall", |line| {
        waits = is_wait(line);
        true
    });
    waits
}

/// Whether a line of `/proc/.../syscall` is a wait for work. The line has the number of the call, six arguments, and the stack and
/// instruction pointers.
///
/// Some of these calls take a signal mask. While they wait with one, the blocked signals do not tell whether a handler is running, so
/// such a call counts only without a mask. Waits for child processes are left out on purpose: a child made by `vfork` may be using the
/// heap of the thread that waits.
fn is_wait(line: &[u8]) -> bool {
    /// The calls that every architecture has, each with the place of the argument that is a signal mask.
    const WAITS: [(libc::c_long, Option<usize>); 16] = [
        (libc::SYS_futex, None),
        (libc::SYS_nanosleep, None),
        (libc::SYS_clock_nanosleep, None),
        (libc::SYS_ppoll, Some(3)),
        (libc::SYS_pselect6, Some(5)),
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
        // The rest of a timed wait after the process was stopped and continued.
        (libc::SYS_restart_syscall, None),
    ];
    let mut words = line.split(|byte| byte.is_ascii_whitespace());
    let number = words.next().and_then(|word| core::str::from_utf8(word).ok()?.parse::<libc::c_long>().ok());
    let wait = WAITS.iter().chain(OLDER_WAITS).find(|wait| Some(wait.0) == number);
    wait.is_some_and(|(_, mask)| mask.is_none_or(|place| words.nth(place) == Some(b"0x0")))
}

/// What `/proc/.../status` says about a thread; `None` for what it has not said.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Status {
    /// The signals that are blocked, one bit for each. The lowest bit is signal 1.
    blocked: Option<u64>,
    /// How often the thread gave up the processor by itself.
    given_up: Option<u64>,
    /// How often the thread gave up the processor or lost it: the sum of both numbers.
    switches: Option<u64>,
}

impl Status {
    fn of(id: u32) -> Status {
        let mut status = Status::default();
        lines_of(id, "status", |line| {
            status.see(line);
            status.switches.is_some()
        });
        status
    }

    /// Takes in one line of the file.
    fn see(&mut self, line: &[u8]) {
        let number = |name: &[u8], radix| {
            let digits = core::str::from_utf8(line.strip_prefix(name)?).ok()?;
            u64::from_str_radix(digits.trim(), radix).ok()
        };
        self.blocked = self.blocked.or_else(|| number(b"SigBlk:", 16));
        self.given_up = self.given_up.or_else(|| number(b"voluntary_ctxt_switches:", 10));
        if let (Some(given_up), Some(taken)) = (self.given_up, number(b"nonvoluntary_ctxt_switches:", 10)) {
            self.switches = Some(given_up.wrapping_add(taken));
        }
    }

    /// Whether the thread may be running a signal handler. While a handler runs, its signal is blocked, unless the handler was
    /// installed with SA_NODEFER. The kernel's record of a signal shows that it has or had a handler, even if the handler was
    /// installed for one signal only or has replaced itself since.
    fn may_be_in_handler(self) -> bool {
        let Some(blocked) = self.blocked else { return true };
        (1..=64).any(|signal| match Action::of(signal) {
            None => true,
            Some(action) => action.has_history() && (blocked & 1 << (signal - 1) != 0 || action.is_not_deferred()),
        })
    }
}

/// The memory of this process, accessed through the kernel: where nothing is mapped the access fails, and the process does not end.
pub struct Memory(File);

/// The result of an attempt to clear two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// The two words are zero.
    Yes,
    /// The third word is not the expected one, or nothing is mapped there.
    Changed,
    /// The kernel does not allow the write.
    Refused,
}

impl Memory {
    /// Opens the memory; `None` where the kernel has no file for it. Called by a thread with a descriptor table of its own.
    pub fn open() -> Option<Memory> {
        File::open(c"/proc/thread-self/mem", libc::O_RDWR).map(Memory)
    }

    /// The word at `address`; `None` where nothing is mapped.
    pub fn word(&self, address: usize) -> Option<usize> {
        let mut word = [0; size_of::<usize>()];
        self.0.read_at(address, &mut word).then(|| usize::from_ne_bytes(word))
    }

    /// Zeroes the first two words of the slot at `address` if the third word is `expected`.
    ///
    /// # Safety
    /// If the third word is `expected`, the two words before it may be zeroed at any time, also by stores that are not atomic.
    pub unsafe fn clear(&self, address: usize, expected: usize) -> Cleared {
        if self.word(address + slot::STATE) != Some(expected) {
            return Cleared::Changed;
        }
        // SAFETY: the caller vouches for it.
        if unsafe { self.0.write_at(address, &[0; slot::STATE]) } { Cleared::Yes } else { Cleared::Refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libc::glibc::thread::id;

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
    fn status_lines_are_read() {
        let mut status = Status::default();
        for line in [
            "Name:\tx",
            "SigBlk:\t0000000180000006",
            "voluntary_ctxt_switches:\t40",
            "nonvoluntary_ctxt_switches:\t2",
            "SigBlk:\tnonsense",
        ] {
            status.see(line.as_bytes());
        }
        assert_eq!(status, Status { blocked: Some(0x1_8000_0006), given_up: Some(40), switches: Some(42) });
        assert!(Status::default().may_be_in_handler(), "what is not known may be");
    }

    /// The actions of signals are the process's, so one test tries one after the other.
    #[test]
    fn a_handler_that_may_be_at_work_is_seen() {
        extern "C" fn handle(_: i32) {}
        let set = |signal, action: usize, flags| {
            // SAFETY: all-zero is a valid action.
            let mut new: libc::sigaction = unsafe { core::mem::zeroed() };
            (new.sa_sigaction, new.sa_flags) = (action, flags);
            // SAFETY: the handler does nothing; the signals are this test's alone.
            assert_eq!(unsafe { libc::sigaction(signal, &new, core::ptr::null_mut()) }, 0);
        };
        let blocking = |signal: i32| Status { blocked: Some(1 << (signal - 1)), ..Status::default() };
        let quiet = Status { blocked: Some(0), ..Status::default() };
        let (usual, once, undeferred) = (libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2, libc::SIGRTMIN() + 3);
        assert!(!blocking(usual).may_be_in_handler(), "a signal that nobody handles may be blocked");
        let handler = handle as *const () as usize;
        set(usual, handler, 0);
        assert!(!quiet.may_be_in_handler() && blocking(usual).may_be_in_handler());
        set(usual, libc::SIG_DFL, 0);
        assert!(blocking(usual).may_be_in_handler(), "the handler may have taken itself away");
        set(once, handler, libc::SA_RESETHAND);
        // SAFETY: a signal with a handler.
        assert_eq!(unsafe { libc::raise(once) }, 0);
        assert!(!quiet.may_be_in_handler() && blocking(once).may_be_in_handler(), "a handler for one time");
        set(undeferred, handler, libc::SA_NODEFER | libc::SA_RESETHAND);
        assert!(quiet.may_be_in_handler(), "a handler that its own signal may interrupt");
        // SAFETY: as above.
        assert_eq!(unsafe { libc::raise(undeferred) }, 0);
        assert!(quiet.may_be_in_handler(), "the same, at work for its one time");
        set(undeferred, libc::SIG_DFL, 0);
        assert!(!quiet.may_be_in_handler());
    }

    #[test]
    fn memory_is_cleared_where_it_is_what_it_should_be() {
        let memory = Memory::open().expect("the memory of this process");
        let words = [1_usize, 2, 3].map(std::sync::atomic::AtomicUsize::new);
        let now = || words.each_ref().map(|word| word.load(std::sync::atomic::Ordering::Relaxed));
        let at = words.as_ptr() as usize;
        // SAFETY: atomics, and nothing is mapped at the other address.
        unsafe {
            assert_eq!(memory.clear(at, 4), Cleared::Changed);
            assert_eq!(now(), [1, 2, 3]);
            assert_eq!(memory.clear(at, 3), Cleared::Yes);
            assert_eq!(now(), [0, 0, 3]);
            assert_eq!(memory.clear(64, 3), Cleared::Changed);
        }
        assert_eq!((memory.word(at + 16), memory.word(64)), (Some(3), None));
    }

    #[test]
    fn a_thread_that_sleeps_is_blocked_until_it_ran() {
        use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
        static SLEEPER: AtomicU32 = AtomicU32::new(0);
        static RUNNING: AtomicBool = AtomicBool::new(true);
        static WOKEN: AtomicU32 = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                SLEEPER.store(id(), SeqCst);
                while RUNNING.load(SeqCst) {
                    core::hint::spin_loop();
                }
                while WOKEN.load(SeqCst) < 2 {
                    std::thread::park();
                    WOKEN.fetch_add(1, SeqCst);
                }
            });
            while SLEEPER.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            let thread = SLEEPER.load(SeqCst);
            // SAFETY: no arguments.
            assert_ne!(thread, unsafe { libc::gettid() } as u32);
            assert_eq!(blocked(thread), None, "that thread runs");
            RUNNING.store(false, SeqCst);
            let wait_until_blocked = || {
                loop {
                    if let Some(switches) = blocked(thread) {
                        return switches;
                    }
                    std::thread::yield_now();
                }
            };
            let switches = wait_until_blocked();
            assert!(still_blocked(thread, switches));
            sleeper.thread().unpark();
            while WOKEN.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            wait_until_blocked();
            assert!(!still_blocked(thread, switches), "it ran in between");
            sleeper.thread().unpark();
        });
        assert_eq!(blocked(u32::MAX >> 4), None, "there is no such thread");
    }
}
