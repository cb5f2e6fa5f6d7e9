//! The bell: who has something for the scavenger wakes it; and the turn.
//!
//! # Safety
//! What is given back is touched by who has the turn.

use hakmem_core::{bell, meta, room, turn};
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
        bell::rest(None, || true);
        room::note_dirty(1);
        room::note_dirty(-1);
        let other = spawn(|| room::note_dirty(1));
        while room::dirty() == 0 {
            bell::rest(None, || room::dirty() != 0);
        }
        other.join();
        assert_eq!(room::dirty(), 1);
    });
}

/// Catches: news that are told after the ring.
#[test]
fn no_news_is_lost() {
    explore("bell, one tells news while the scavenger goes to rest", 4, || {
        bell::rest(None, || true);
        bell::listen();
        let other = spawn(bell::tell);
        // Returns only when it heard of it.
        bell::rest(None, || false);
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
        let given = unsafe { meta::make::<Given>() }.expect("memory");
        let give = || turn::take().map(|_turn| given.0.set(given.0.get() + 1)).is_some();
        let other = spawn(give);
        let mine = give();
        let theirs = other.join();
        let _turn = turn::take().expect("nobody has it");
        assert_eq!(given.0.get(), usize::from(mine) + usize::from(theirs));
        assert!(mine || theirs);
    });
}
