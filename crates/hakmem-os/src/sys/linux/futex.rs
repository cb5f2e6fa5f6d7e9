//! The lock of the allocator, which is one word, and sleeping until a word changes.
//!
//! A thread that does not get the lock sleeps. It does not spin, so no core is busy with waiting while the holder of the lock is not
//! running. It relies on the kernel's futex call, which compares the word and goes to sleep in one step.
//!
//! ```text
//!    0      --lock-->           HELD              --another thread waits-->   HELD | CONTENDED
//!    0      --lock_as_owner-->  HELD | BY_OWNER   --another thread waits-->   HELD | BY_OWNER | CONTENDED
//!    any    --drop-->           0, and one sleeper is woken if CONTENDED was set
//! ```
//!
//! # Safety
//! Each futex call gets the address of a word that outlives the call.

use super::kernel::{Call, count};
#[cfg(not(loom))]
use crate::arch::syscall::syscall;
use crate::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use core::ptr;

const FREE: u32 = 0;
/// A thread holds the lock.
const HELD: u32 = 1;
/// The holder is the thread that owns what the lock protects.
const BY_OWNER: u32 = 2;
/// A thread may be sleeping until the lock is free.
const CONTENDED: u32 = 4;

/// The lock. A word of zero is a free lock.
///
/// Taking it has Acquire order, which pairs with the Release order of letting go: the holder sees all that the holder before it
/// wrote. Everything else about the word is relaxed, because it publishes nothing.
pub struct Lock(AtomicU32);

/// Proof that the caller holds the lock. Dropping it lets go of the lock.
pub struct Held<'a>(&'a Lock);

impl Lock {
    /// A free lock.
    pub const fn new() -> Lock {
        Lock(AtomicU32::new(FREE))
    }

    /// Takes the lock, and sleeps while another thread holds it.
    #[inline]
    pub fn lock(&self) -> Held<'_> {
        self.take(HELD)
    }

    /// Takes the lock as the owner of what it protects. After a fork, [`Lock::is_held_by_visitor`] tells whether the holder was the owner.
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

    /// Whether a thread holds the lock at this moment.
    pub fn is_held(&self) -> bool {
        self.0.load(Relaxed) != FREE
    }

    /// Whether a thread other than the owner holds the lock at this moment.
    pub fn is_held_by_visitor(&self) -> bool {
        self.0.load(Relaxed) & (HELD | BY_OWNER) == HELD
    }

    /// Makes the lock free in a child of a fork, in which the holder does not exist.
    pub fn reset(&self) {
        self.0.store(FREE, Relaxed);
    }

    #[cold]
    fn wait(&self, how: u32) {
        loop {
            let word = self.0.load(Relaxed);
            if word == FREE {
                // Other threads may be sleeping too, so letting go of the lock must wake one.
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

/// Sleeps while `word` is `value`, until it is woken.
#[cold]
fn sleep_while(word: &AtomicU32, value: u32) {
    count(Call::Other);
    // SAFETY: FUTEX_WAIT reads the word and sleeps; a null timeout waits for the wake.
    unsafe { futex(word.as_ptr(), libc::FUTEX_WAIT, value, ptr::null()) };
}

/// Sleeps while `word` is `value`, for at most `most_ms` milliseconds if a number is given. It may return early.
pub fn doze(word: &AtomicU32, value: u32, most_ms: Option<u64>) {
    let time = most_ms.map(|ms| libc::timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 });
    count(Call::Other);
    // SAFETY: FUTEX_WAIT reads the word and the time, and sleeps.
    unsafe { futex(word.as_ptr(), libc::FUTEX_WAIT, value, time.as_ref().map_or(ptr::null(), ptr::from_ref)) };
}

/// Sleeps likewise while a word that the kernel itself changes is `value`. The kernel's own wake reaches only sleepers that did not ask
/// for a private futex.
pub fn doze_shared(word: &AtomicU32, value: u32, ms: u64) {
    let time = libc::timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 };
    count(Call::Other);
    // SAFETY: FUTEX_WAIT reads the word and the time, and sleeps.
    unsafe { shared_futex(word.as_ptr(), libc::FUTEX_WAIT, value, &time) };
}

/// Wakes one thread that dozes on `word`.
pub fn rouse(word: &AtomicU32) {
    wake(word, 1);
}

/// Wakes all threads that doze on `word`.
pub fn rouse_all(word: &AtomicU32) {
    wake(word, i32::MAX as u32);
}

#[cold]
fn wake(word: &AtomicU32, most: u32) {
    count(Call::Other);
    // SAFETY: FUTEX_WAKE does not access the word; the address only identifies the sleepers.
    unsafe { futex(word.as_ptr(), libc::FUTEX_WAKE, most, ptr::null()) };
}

/// The futex call for a word that only this process uses.
unsafe fn futex(word: *mut u32, operation: i32, value: u32, timeout: *const libc::timespec) -> isize {
    // SAFETY: the caller passes what the operation wants.
    unsafe { shared_futex(word, operation | libc::FUTEX_PRIVATE_FLAG, value, timeout) }
}

/// The futex call.
unsafe fn shared_futex(word: *mut u32, operation: i32, value: u32, timeout: *const libc::timespec) -> isize {
    #[cfg(loom)]
    return crate::model::futex(word, operation & !libc::FUTEX_PRIVATE_FLAG, value, !timeout.is_null());
    #[cfg(not(loom))]
    // SAFETY: the caller passes what the operation wants.
    unsafe {
        syscall(libc::SYS_futex, [word as usize, operation as usize, value as usize, timeout as usize, 0, 0])
    }
}

/// Whether the four aligned bytes that contain `address` can be read. It causes no fault: the kernel reads the bytes for a wait that
/// times out at once. A sandbox of a program with threads has to allow this call, while it may refuse others.
pub fn readable(address: usize) -> bool {
    count(Call::Other);
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: FUTEX_WAIT only reads the word, and answers EFAULT where nothing is mapped.
    let result = unsafe { futex((address & !3) as *mut u32, libc::FUTEX_WAIT, 0, &at_once) };
    result != -(libc::EFAULT as isize)
}
