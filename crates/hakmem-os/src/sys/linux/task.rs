//! What the kernel knows about the threads of this process: whether a thread waits for work, and whether it ran in between. It also
//! reads and writes the memory of another thread.
//!
//! The heap of another thread may be emptied only while that thread cannot be in the middle of a fast path. Two looks at the thread
//! prove that, under three conditions:
//!
//! 1. Both looks find it blocked in a system call in which threads wait for work. The fast paths make no system call.
//! 2. No signal handler can be running in it, since a handler might have interrupted a fast path. Neither is a signal blocked that has
//!    or had a handler, nor is there a word on the stack of the thread, from its stack pointer on, that is the address to which a handler
//!    returns. The first finds most handlers, the second also one that unblocked its signal, wherever its stack is.
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

/// How much of a stack is searched. A thread that waits deeper in its stack may be in a handler.
const MOST_STACK: usize = 256 << 10;
/// How much of it is read at a time. It divides a page, so each piece is there as a whole or not at all.
const PIECE: usize = 1024;
/// How many different addresses handlers may return to: one for each library that installs handlers in its own way.
const MOST_RETURNS: usize = 4;

/// Calls `see` with each line of the file `name` about thread `id`, until `see` returns true for "enough".
fn lines_of(id: u32, name: &str, see: impl FnMut(&[u8]) -> bool) {
    let mut path = Text::<48> { bytes: [0; 48], used: 0 };
    if write!(path, "/proc/self/task/{id}/{name}\0").is_ok()
        && let Ok(path) = CStr::from_bytes_until_nul(&path.bytes)
    {
        file::lines::<192>(path, see);
    }
}

/// The number of context switches of thread `id`, if it is blocked in a system call in which threads wait for work and runs no signal
/// handler. `None` where that is not so or cannot be known. `slot` is the address of the slot of the thread: where that lies above the
/// stack, as the C library places it, the stack ends below it.
pub fn blocked(id: u32, slot: usize, memory: &Memory) -> Option<u64> {
    let status = Status::of(id);
    let stack = wait(id)?;
    let returns = status.returns_of_handlers()?;
    if returns.are_on_stack(stack, slot, memory) { None } else { status.switches }
}

/// Whether thread `id` has not run since [`blocked`] returned `switches`.
pub fn still_blocked(id: u32, switches: u64) -> bool {
    // The number is read last. If it were read first, the thread could run and block again before the look at its system call.
    wait(id).is_some() && Status::of(id).switches == Some(switches)
}

/// The stack pointer of thread `id`, if it is blocked in a system call in which threads wait for work.
fn wait(id: u32) -> Option<usize> {
    let mut stack = None;
    lines_of(id, "syscall", |line| {
        stack = if is_wait(line) { stack_pointer(line) } else { None };
        true
    });
    stack
}

/// The last but one number in a line of `/proc/.../syscall`.
fn stack_pointer(line: &[u8]) -> Option<usize> {
    let word = line.trim_ascii().rsplit(|byte| *byte == b' ').nth(1)?;
    usize::from_str_radix(core::str::from_utf8(word.strip_prefix(b"0x")?).ok()?, 16).ok()
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

    /// The addresses that signal handlers return to; `None` where the blocked signals say that one may be running. While a handler
    /// runs, its signal is blocked, unless the handler unblocked it or was installed with SA_NODEFER. The kernel's record of a signal
    /// shows that it has or had a handler, even if the handler was installed for one signal only or has replaced itself since.
    fn returns_of_handlers(self) -> Option<Returns> {
        let (blocked, mut returns) = (self.blocked?, Returns::default());
        for signal in 1..=64 {
            let action = Action::of(signal)?;
            if action.has_history() {
                if blocked & 1 << (signal - 1) != 0 {
                    return None;
                }
                returns.insert(action.returns_to())?;
            }
        }
        Some(returns)
    }
}

/// Different addresses that signal handlers return to; 0 where there is none.
#[derive(Default)]
struct Returns([usize; MOST_RETURNS]);

impl Returns {
    /// Takes one in; `None` where there are too many.
    fn insert(&mut self, address: usize) -> Option<()> {
        let place = self.0.iter_mut().find(|known| **known == address || **known == 0)?;
        *place = address;
        Some(())
    }

    fn has(&self, word: usize) -> bool {
        word != 0 && self.0.contains(&word)
    }

    /// Whether one of them may lie on the stack that begins at `from`. It ends at `slot`, if that is near, or where nothing is mapped;
    /// a stack that does not end within [`MOST_STACK`] is not searched to its end.
    fn are_on_stack(&self, from: usize, slot: usize, memory: &Memory) -> bool {
        if self.0[0] == 0 {
            return false;
        }
        let from = from.next_multiple_of(size_of::<usize>());
        let most = from.saturating_add(MOST_STACK);
        let end = if (from..most).contains(&slot) { slot } else { most };
        let (mut at, mut piece) = (from, [0; PIECE]);
        while at < end {
            let next = (at / PIECE + 1) * PIECE;
            let piece = &mut piece[..next.min(end) - at];
            if !memory.0.read_at(at, piece) {
                // The end of the stack; or no stack at all.
                return at == from;
            }
            let (words, _) = piece.as_chunks();
            if words.iter().any(|word| self.has(usize::from_ne_bytes(*word))) {
                return true;
            }
            at = next;
        }
        end != slot
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
        assert!(Status::default().returns_of_handlers().is_none(), "what is not known may be");
    }

    #[test]
    fn the_stack_pointer_is_the_last_number_but_one() {
        assert_eq!(stack_pointer(b"202 0x7f 0x80 0x0 0x0 0x0 0xffffffff 0x7ffd10 0x7f12\n"), Some(0x7ff_d10));
        for none in [&b"running"[..], b"", b"202 0x1"] {
            assert_eq!(stack_pointer(none), None, "{}", none.escape_ascii());
        }
    }

    #[test]
    fn an_address_that_handlers_return_to_is_found_on_a_stack() {
        const RETURN: usize = 0x5566_7788;
        let memory = Memory::open().expect("the memory of this process");
        let stack: std::vec::Vec<_> = (0..2 * MOST_STACK / 8).map(std::sync::atomic::AtomicUsize::new).collect();
        let (from, of) = (stack.as_ptr() as usize, |place: usize| stack.as_ptr() as usize + place * size_of::<usize>());
        let mut returns = Returns::default();
        assert!(!returns.are_on_stack(64, 0, &memory), "there are no handlers");
        [RETURN, RETURN, 1 << 40].into_iter().for_each(|address| returns.insert(address).expect("there is room"));
        assert!(!returns.are_on_stack(from, of(3000), &memory), "none down to the slot");
        assert!(returns.are_on_stack(from, 0, &memory), "a stack of which no end is seen");
        assert!(returns.are_on_stack(from, of(2 * MOST_STACK / 8 - 1), &memory), "the same");
        assert!(returns.are_on_stack(64, 0, &memory), "no stack");
        for place in [0, 127, 128, 2999] {
            stack[place].store(RETURN, std::sync::atomic::Ordering::Relaxed);
            assert!(returns.are_on_stack(from, of(3000), &memory), "at {place}");
            assert!(!returns.are_on_stack(of(place + 1), of(3000), &memory), "below the stack pointer, at {place}");
            stack[place].store(0, std::sync::atomic::Ordering::Relaxed);
        }
        assert!((2..4).all(|address| returns.insert(address).is_some()) && returns.insert(4).is_none(), "too many");
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
        let seen = |blocked| Status { blocked: Some(blocked), ..Status::default() }.returns_of_handlers().is_none();
        let blocking = |signal: i32| seen(1 << (signal - 1));
        let (usual, once) = (libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2);
        assert!(!blocking(usual), "a signal that nobody handles may be blocked");
        let handler = handle as *const () as usize;
        set(usual, handler, 0);
        assert!(!seen(0) && blocking(usual));
        set(usual, libc::SIG_DFL, 0);
        assert!(blocking(usual), "the handler may have taken itself away");
        set(once, handler, libc::SA_RESETHAND);
        // SAFETY: a signal with a handler.
        assert_eq!(unsafe { libc::raise(once) }, 0);
        assert!(!seen(0) && blocking(once), "a handler for one time");
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
        use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
        static SLEEPER: AtomicU32 = AtomicU32::new(0);
        static RUNNING: AtomicBool = AtomicBool::new(true);
        static WOKEN: AtomicU32 = AtomicU32::new(0);
        static SLOT: AtomicUsize = AtomicUsize::new(0);
        static HANDLING: AtomicBool = AtomicBool::new(false);
        extern "C" fn handle(_: i32) {
            HANDLING.store(true, SeqCst);
            while HANDLING.load(SeqCst) {
                // SAFETY: sleeps for a millisecond.
                unsafe { libc::usleep(1000) };
            }
        }
        let signal = libc::SIGRTMIN() + 3;
        // SAFETY: all-zero is a valid action. The handler only sleeps, and its signal, which it leaves unblocked, is this test's alone.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (handle as *const () as usize, libc::SA_NODEFER);
            assert_eq!(libc::sigaction(signal, &action, core::ptr::null_mut()), 0);
        }
        let memory = Memory::open().expect("the memory of this process");
        let blocked = |thread| blocked(thread, SLOT.load(SeqCst), &memory);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                SLOT.store(slot::address(), SeqCst);
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
            // SAFETY: a signal with a handler, for a thread of this process.
            assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) }, 0);
            while !HANDLING.load(SeqCst) {
                std::thread::yield_now();
            }
            while wait(thread).is_none() {
                std::thread::yield_now();
            }
            for _ in 0..100 {
                assert_eq!(blocked(thread), None, "it sleeps in a handler, whose signal is not blocked");
            }
            HANDLING.store(false, SeqCst);
            wait_until_blocked();
            sleeper.thread().unpark();
        });
        assert_eq!(blocked(u32::MAX >> 4), None, "there is no such thread");
    }
}
