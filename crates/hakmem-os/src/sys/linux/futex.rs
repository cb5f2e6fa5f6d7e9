//! A lock that sleeps: one word, free, held, or held with sleepers.
//!
//! It never spins without bound, so a holder that lost its processor stalls nobody's core.
//!
//! # Safety
//! The futex calls refer to the lock's own word, which outlives them.

#[cfg(not(loom))]
use crate::arch::syscall::syscall;
use crate::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::kernel::{Call, count};
use core::ptr;

const FREE: u32 = 0;
/// Somebody has it.
const HELD: u32 = 1;
/// Who has it is the one that it belongs to.
const BY_OWNER: u32 = 2;
/// Somebody sleeps until it is free.
const CONTENDED: u32 = 4;

/// The lock. All-zero is free.
pub struct Lock(AtomicU32);

/// Proof that the lock is held; dropping it lets go.
pub struct Held<'a>(&'a Lock);

impl Lock {
    /// A free lock.
    pub const fn new() -> Lock {
        Lock(AtomicU32::new(FREE))
    }

    /// Takes the lock, sleeping while another thread has it.
    #[inline]
    pub fn lock(&self) -> Held<'_> {
        self.take(HELD)
    }

    /// The same by the thread that what is locked belongs to: after a fork it can be told whether that one was inside.
    #[inline]
    pub fn lock_as_owner(&self) -> Held<'_> {
        self.take(HELD | BY_OWNER)
    }

    #[inline]
    fn take(&self, how: u32) -> Held<'_> {
        if self.0.compare_exchange(FREE, how, Acquire, Relaxed).is_err() {
            self.wait(how);
        }
        Held(self)
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<Held<'_>> {
        self.0.compare_exchange(FREE, HELD, Acquire, Relaxed).ok().map(|_| Held(self))
    }

    /// Whether somebody has it at this moment.
    pub fn is_held(&self) -> bool {
        self.0.load(Relaxed) != FREE
    }

    /// Whether somebody other than its owner has it at this moment.
    pub fn is_held_by_visitor(&self) -> bool {
        self.0.load(Relaxed) & (HELD | BY_OWNER) == HELD
    }

    /// Makes it free, in a child just forked, where whoever had it is no more.
    pub fn reset(&self) {
        self.0.store(FREE, Relaxed);
    }

    #[cold]
    fn wait(&self, how: u32) {
        loop {
            let word = self.0.load(Relaxed);
            if word == FREE {
                // Others may sleep as well, so whoever lets go must wake one.
                if self.0.compare_exchange(FREE, how | CONTENDED, Acquire, Relaxed).is_ok() {
                    return;
                }
            } else if word & CONTENDED != 0 || self.0.compare_exchange(word, word | CONTENDED, Relaxed, Relaxed).is_ok()
            {
                sleep_while(&self.0, word | CONTENDED);
            }
        }
    }
}

impl Default for Lock {
    fn default() -> Lock {
        Lock::new()
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.0.swap(FREE, Release) & CONTENDED != 0 {
            wake(&self.0.0, 1);
        }
    }
}

#[cold]
fn sleep_while(word: &AtomicU32, value: u32) {
    count(Call::Other);
    // SAFETY: FUTEX_WAIT reads the word and sleeps; a null timeout waits for the wake.
    unsafe { futex(word.as_ptr(), libc::FUTEX_WAIT, value, ptr::null()) };
}

/// Sleeps while `word` is `value`, at most so many milliseconds if a number is given. May return early.
pub fn doze(word: &AtomicU32, value: u32, most_ms: Option<u64>) {
    let time = most_ms.map(|ms| libc::timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 });
    count(Call::Other);
    // SAFETY: FUTEX_WAIT reads the word and the time, and sleeps.
    unsafe { futex(word.as_ptr(), libc::FUTEX_WAIT, value, time.as_ref().map_or(ptr::null(), ptr::from_ref)) };
}

/// The same for a word that the kernel itself changes, which wakes in its own way.
pub fn doze_shared(word: &AtomicU32, value: u32, ms: u64) {
    let time = libc::timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 };
    count(Call::Other);
    // SAFETY: FUTEX_WAIT reads the word and the time, and sleeps.
    unsafe { shared_futex(word.as_ptr(), libc::FUTEX_WAIT, value, &time) };
}

/// Wakes one that dozes on `word`.
pub fn rouse(word: &AtomicU32) {
    wake(word, 1);
}

/// Wakes all that doze on `word`.
pub fn rouse_all(word: &AtomicU32) {
    wake(word, i32::MAX as u32);
}

#[cold]
fn wake(word: &AtomicU32, most: u32) {
    count(Call::Other);
    // SAFETY: FUTEX_WAKE uses the address as a name only.
    unsafe { futex(word.as_ptr(), libc::FUTEX_WAKE, most, ptr::null()) };
}

unsafe fn futex(word: *mut u32, operation: i32, value: u32, timeout: *const libc::timespec) -> isize {
    // SAFETY: the caller's obligation.
    unsafe { shared_futex(word, operation | libc::FUTEX_PRIVATE_FLAG, value, timeout) }
}

unsafe fn shared_futex(word: *mut u32, operation: i32, value: u32, timeout: *const libc::timespec) -> isize {
    #[cfg(loom)]
    return crate::model::futex(word, operation & !libc::FUTEX_PRIVATE_FLAG, value, !timeout.is_null());
    #[cfg(not(loom))]
    // SAFETY: the caller's obligation: `word` and `timeout` are what the operation wants.
    unsafe {
        syscall(libc::SYS_futex, [word as usize, operation as usize, value as usize, timeout as usize, 0, 0])
    }
}

/// Whether the four bytes around `address` can be read, found out without a fault: the kernel reads them for a wait that
/// times out at once. It needs no call that a sandbox of a threaded program would refuse.
pub fn readable(address: usize) -> bool {
    count(Call::Other);
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: FUTEX_WAIT only reads the word, and answers EFAULT where there is none.
    let result = unsafe { futex((address & !3) as *mut u32, libc::FUTEX_WAIT, 0, &at_once) };
    result != -(libc::EFAULT as isize)
}
