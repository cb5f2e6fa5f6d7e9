//! Thread heaps: blocks that come back from other threads, spans that change hands, and the list of all heaps.

use crate::blocks::{Block, PAST_EXIT, SIZE, check_heaps, exit, fill_pool};
use hakmem_core::{heap, scavenger, stats};
use hakmem_os::model::{explore, spawn};
use hakmem_os::slot;

/// Catches: a chain whose last block is not remembered.
#[test]
fn a_chain_freed_by_another_thread_comes_back_once() {
    explore("heaps, one frees a chain that the other has allocated", 1, || {
        fill_pool(1);
        // Two of them are handed over together.
        let (one, two) = (Block::of(SIZE / 2), Block::of(SIZE / 2));
        let other = spawn(move || {
            // A thread that only frees hands over block by block.
            let own = Block::new();
            one.free();
            two.free();
            own.free();
        });
        let mine = [(); 3].map(|()| Block::of(SIZE / 2));
        other.join();
        check_heaps(3);
        mine.into_iter().for_each(Block::free);
        check_heaps(0);
    });
}

/// Catches: a chain pushed onto the inbox without being linked to what is there; an inbox that is read and emptied in two steps.
#[test]
fn no_block_is_lost_of_those_that_come_together() {
    explore("heaps, two free what a third one has allocated", 3, || {
        let (one, two) = (Block::new(), Block::new());
        let others = [one, two].map(|block| {
            spawn(move || {
                slot::set_state(PAST_EXIT);
                block.free();
            })
        });
        let mine = Block::new();
        others.into_iter().for_each(|other| other.join());
        check_heaps(1);
        mine.free();
        check_heaps(0);
    });
}

/// Catches: `Relaxed` in place of `Release` in `receive`, or of `Acquire` in `take_inbox`; a heap that is served without its lock; a lock that is let go `Relaxed`.
#[test]
fn an_inbox_is_served_by_one_at_a_time() {
    explore("heaps, one frees, one serves, and the owner allocates", 1, || {
        let (theirs, mine) = (Block::new(), Block::new());
        let other = spawn(move || {
            slot::set_state(PAST_EXIT);
            theirs.free();
        });
        let servant = spawn(|| {
            scavenger::take_from(None, false);
        });
        let more = Block::new();
        other.join();
        servant.join();
        check_heaps(2);
        mine.free();
        more.free();
        check_heaps(0);
    });
}

/// Catches: an empty span that the page map still names when its heap's lock is free; an entry of the page map stored `Relaxed`.
#[test]
fn who_looks_for_gaps_never_meets_a_span_that_changes_hands() {
    explore("heaps, one opens gaps while a span goes from heap to heap", 1, || {
        fill_pool(1);
        let theirs = Block::new();
        let other = spawn(|| heap::open_holes(true));
        let third = spawn(Block::new);
        theirs.free();
        exit();
        other.join();
        third.join().write();
        check_heaps(1);
    });
}

/// Catches: `Relaxed` in place of `AcqRel` where a new heap is put on the list of all.
#[test]
fn a_heap_is_whole_when_others_find_it() {
    explore("heaps, one thread begins and one counts the heaps", 2, || {
        let other = spawn(|| Block::new().free());
        let (_, heaps) = stats::misses_and_heaps();
        assert!(heaps <= 1);
        other.join();
        check_heaps(0);
    });
}
