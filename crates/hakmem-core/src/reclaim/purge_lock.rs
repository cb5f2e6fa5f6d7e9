//! The turn: one thread at a time gives memory back, be it the scavenger, a slow path or `malloc_trim`.
//!
//! A pass that finds the turn taken is left out, since somebody makes one. Who was asked to give everything back waits: what
//! another thread is giving back at the moment belongs to that thread, and is gone only when it is done.

use hakmem_os::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Relaxed, Release},
};
use hakmem_os::futex;

/// How long is waited for the turn. It can be this thread's own, in a signal handler: then nothing would end the wait.
const LONGEST_WAIT_MS: u64 = 1000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Whoever has this gives memory back.
pub struct Turn(());

/// Takes the turn if nobody has it.
pub fn take() -> Option<Turn> {
    TAKEN.compare_exchange(0, 1, AcqRel, Relaxed).is_ok().then_some(Turn(()))
}

/// Waits for the turn; `None` if that took too long.
pub fn wait() -> Option<Turn> {
    (0..LONGEST_WAIT_MS).find_map(|_| {
        take().or_else(|| {
            futex::doze(&TAKEN, 1, Some(1));
            None
        })
    })
}

/// In a child just forked, where whoever had the turn is no more.
pub fn after_fork_in_child() {
    TAKEN.store(0, Relaxed);
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_has_the_turn_and_who_waits_gets_it() {
        let mine = wait().expect("nobody has it");
        assert!(take().is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| wait().is_some());
            drop(mine);
            assert!(other.join().expect("no panic"));
        });
        let mine = take().expect("it was given up");
        after_fork_in_child();
        assert!(take().is_some(), "who had it is not there");
        drop(mine);
    }
}
