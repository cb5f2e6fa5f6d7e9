//! What the kernel knows about the threads of this process: whether one ran, and in what it waits.
//!
//! Another thread's heap may be emptied only while that thread is surely not in the middle of a fast path. Two looks at it prove
//! that, if both of them find it blocked in a system call of those in which threads wait for work, which the fast paths do not
//! make; if it lost its processor as often at the second look as at the first, since a thread that ran in between and is blocked
//! again has lost it once more; and if no signal handler, which might have interrupted a fast path, can be at work in it.
//!
//! All of this is read from files of `/proc`, so only a thread of the allocator's own asks, with a descriptor table of its own.
//!
//! # Safety
//! The calls write into buffers of this frame. [`Memory::clear`] writes into the memory of another thread, which it proves to be what
//! it should be just before.

use crate::arch::syscall::syscall;
use crate::file::{self, File};
use core::ffi::CStr;
use core::fmt::{self, Write};

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

/// How often thread `id` has lost its processor, if it is blocked in a system call in which threads wait for work, outside any
/// signal handler. `None` where that is not so, or cannot be known.
pub fn blocked(id: u32) -> Option<u64> {
    let status = Status::of(id);
    (waits(id) && !status.may_be_in_handler()).then_some(status.switches).flatten()
}

/// Whether thread `id` did nothing since [`blocked`] returned `switches`.
pub fn still_blocked(id: u32, switches: u64) -> bool {
    // The count comes last: were it first, the thread could run and block again between the two.
    waits(id) && Status::of(id).switches == Some(switches)
}

fn waits(id: u32) -> bool {
    let mut waits = false;
    lines_of(id, "syscall", |line| {
        waits = is_wait(line);
        true
    });
    waits
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

/// What `/proc/.../status` says of a thread; `None` while not known.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Status {
    /// Signals that are blocked, one bit each, signal 1 lowest.
    blocked: Option<u64>,
    /// How often it gave its processor up.
    given_up: Option<u64>,
    /// How often the processor was given up or taken away, all in all.
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

    /// Takes a line in.
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

    /// Whether the thread may be in a signal handler. While one runs its own signal is blocked, unless it was installed with
    /// SA_NODEFER; and that the signal has, or had, a handler is written in the kernel's record of it, also where the handler
    /// was for one time only or has put another action in its place since.
    fn may_be_in_handler(self) -> bool {
        let Some(blocked) = self.blocked else { return true };
        (1..=64).any(|signal| match Action::of(signal) {
            None => true,
            Some(action) => action.has_history() && (blocked & 1 << (signal - 1) != 0 || action.is_not_deferred()),
        })
    }
}

/// The kernel's `struct sigaction` on x86-64: handler, flags, restorer, mask.
struct Action([usize; 4]);

impl Action {
    /// What stands for `signal`; `None` where the kernel does not say.
    fn of(signal: usize) -> Option<Action> {
        let mut action = Action([0; 4]);
        // SAFETY: writes the four words.
        let result = unsafe { syscall(libc::SYS_rt_sigaction, [signal, 0, action.0.as_mut_ptr() as usize, 8, 0, 0]) };
        (result == 0).then_some(action)
    }

    /// Whether the program ever said what the signal is to do. The C library passes a restorer each time, also with the default
    /// action, and the kernel keeps the flags when it takes a one-time handler away.
    fn has_history(&self) -> bool {
        self.0 != [0; 4]
    }

    /// Whether a handler runs with the signal unblocked.
    fn is_not_deferred(&self) -> bool {
        self.0[1] & libc::SA_NODEFER as usize != 0
    }
}

/// The memory of this process by way of the kernel, which says where there is none instead of ending the process.
pub struct Memory(File);

/// What became of an attempt to clear two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// They are zero.
    Yes,
    /// The third word is not the one expected, or nothing is mapped there.
    Changed,
    /// The kernel does not let it be done.
    Refused,
}

impl Memory {
    /// `None` where the kernel does not have it. By a thread with descriptors of its own.
    pub fn open() -> Option<Memory> {
        File::open(c"/proc/thread-self/mem", libc::O_RDWR).map(Memory)
    }

    /// The word at `address`; `None` where nothing is mapped.
    pub fn word(&self, address: usize) -> Option<usize> {
        let mut word = [0; size_of::<usize>()];
        self.0.read_at(address, &mut word).then(|| usize::from_ne_bytes(word))
    }

    /// Zeroes the two words at `address` if the third one is `expected`.
    ///
    /// # Safety
    /// Where the third word is `expected`, the two before it may be zeroed, by plain stores at any time.
    pub unsafe fn clear(&self, address: usize, expected: usize) -> Cleared {
        if self.word(address + 2 * size_of::<usize>()) != Some(expected) {
            return Cleared::Changed;
        }
        // SAFETY: the caller's.
        if unsafe { self.0.write_at(address, &[0; 2 * size_of::<usize>()]) } { Cleared::Yes } else { Cleared::Refused }
    }
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
                SLEEPER.store(crate::thread::id(), SeqCst);
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
            assert_ne!(thread, unsafe { syscall(libc::SYS_gettid, [0; 6]) } as u32);
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
