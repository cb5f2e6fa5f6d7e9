//! The purge lock: one thread at a time gives memory back, be it the scavenger, the end of a slow path or `malloc_trim`.
//!
//! A pass that finds the lock taken is left out, since whoever holds it makes one. `malloc_trim` waits: what another thread is giving back
//! at the moment is in that thread's hands, and is gone only when that is done.

use hakmem_os::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Relaxed, Release},
};
use hakmem_os::futex;

/// How long to wait for the lock. This thread itself can have it, in a signal handler: then nothing would end the wait.
const LONGEST_WAIT_MS: u64 = 1000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Whoever has this may give memory back.
pub struct PurgeLock(());

/// Takes the lock if nobody has it.
pub fn take() -> Option<PurgeLock> {
    TAKEN.compare_exchange(0, 1, AcqRel, Relaxed).is_ok().then_some(PurgeLock(()))
}

/// Waits for the lock; `None` if that took too long.
pub fn wait() -> Option<PurgeLock> {
    (0..LONGEST_WAIT_MS).find_map(|_| {
        take().or_else(|| {
            futex::doze(&TAKEN, 1, Some(1));
            None
        })
    })
}

/// In a child just forked, where whoever had the lock is no more.
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
    fn one_thread_has_the_lock_and_one_that_waits_gets_it() {
        let mine = wait().expect("nobody has it");
        assert!(take().is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| wait().is_some());
            drop(mine);
            assert!(other.join().expect("no panic"));
        });
        let mine = take().expect("it was given up");
        after_fork_in_child();
        assert!(take().is_some(), "whoever had it is not there");
        drop(mine);
    }
}
