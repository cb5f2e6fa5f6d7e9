//! The bell: who has something for the scavenger wakes it; and the turn.
//!
//! # Safety
//! What is given back is touched by who has the turn.

use hakmem_core::backend::availability;
use hakmem_core::base::wake_up;
use hakmem_core::map::metadata;
use hakmem_core::reclaim::purge_lock;
use hakmem_os::atomic::Cell;
use hakmem_os::model::{explore, spawn};

/// loom itself says so where the scavenger sleeps for ever.
///
/// Catches: `Acquire` in place of `SeqCst` where who rings reads whether the scavenger sleeps, and where the scavenger counts what
/// there is to do; a scavenger that does not look once more before it sleeps.
#[test]
fn no_ring_is_lost() {
    explore("bell, one rings while the scavenger goes to rest", 4, || {
        // Awake, and nothing to do. loom orders loads only after stores that are sequentially consistent themselves.
        wake_up::rest(None, || true);
        availability::note_dirty(1);
        availability::note_dirty(-1);
        let other = spawn(|| availability::note_dirty(1));
        while availability::dirty() == 0 {
            wake_up::rest(None, || availability::dirty() != 0);
        }
        other.join();
        assert_eq!(availability::dirty(), 1);
    });
}

/// Catches: news that are told after the ring.
#[test]
fn no_news_is_lost() {
    explore("bell, one tells news while the scavenger goes to rest", 4, || {
        wake_up::rest(None, || true);
        wake_up::listen();
        let other = spawn(wake_up::tell);
        // Returns only when it heard of it.
        wake_up::rest(None, || false);
        other.join();
    });
}

#[derive(Default)]
struct Given(Cell<usize>);

// SAFETY: the cell is touched by who has the turn; the model is to show that this suffices.
unsafe impl Sync for Given {}

/// Catches: `Relaxed` in place of `AcqRel` in `take`, or of `Release` where the turn is given up.
#[test]
fn one_thread_at_a_time_has_the_turn() {
    explore("turn, two take it", 4, || {
        // SAFETY: a number: zero is valid.
        let given = unsafe { metadata::make::<Given>() }.expect("memory");
        let give = || purge_lock::take().map(|_turn| given.0.set(given.0.get() + 1)).is_some();
        let other = spawn(give);
        let mine = give();
        let theirs = other.join();
        let _turn = purge_lock::take().expect("nobody has it");
        assert_eq!(given.0.get(), usize::from(mine) + usize::from(theirs));
        assert!(mine || theirs);
    });
}
