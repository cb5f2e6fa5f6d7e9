//! The purge lock: one thread at a time makes passes and trims, be it the scavenger, a thread at the end of a slow path, or a
//! caller of `malloc_trim`. Where a limit is reached or memory is out, memory is released without it.
//!
//! A thread that finds the lock taken skips its pass, since the holder makes one. `malloc_trim` waits, since memory
//! that another thread is purging is still resident until that thread has finished.

use hakmem_os::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Relaxed, Release},
};
use hakmem_os::futex;

/// The longest wait for the lock. In a signal handler this thread itself may hold the lock, so an unlimited wait could
/// not end.
const LOCK_WAIT_MS: u64 = 1000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Proof that this thread holds the purge lock, which it releases when this is dropped.
pub struct PurgeLock(());

/// Takes the lock if it is free.
pub fn take() -> Option<PurgeLock> {
    TAKEN.compare_exchange(0, 1, AcqRel, Relaxed).is_ok().then_some(PurgeLock(()))
}

/// Waits for the lock; `None` if the wait took too long.
pub fn wait() -> Option<PurgeLock> {
    (0..LOCK_WAIT_MS).find_map(|_| {
        take().or_else(|| {
            futex::doze(&TAKEN, 1, Some(1));
            None
        })
    })
}

/// Frees the lock in a child process, in which its holder does not exist.
pub fn after_fork_in_child() {
    TAKEN.store(0, Relaxed);
}

impl Drop for PurgeLock {
    fn drop(&mut self) {
        TAKEN.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_thread_holds_the_lock_and_a_waiting_thread_gets_it() {
        let mine = wait().expect("the lock is free");
        assert!(take().is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| wait().is_some());
            drop(mine);
            assert!(other.join().expect("no panic"));
        });
        let mine = take().expect("the lock was released");
        after_fork_in_child();
        assert!(take().is_some(), "the holder does not exist in the child");
        drop(mine);
    }
}
