//! Thread heaps: remote frees, spans that get another owner, and the list of all heaps.

use crate::blocks::{Block, PAST_EXIT, SIZE, check_heaps, exit, fill_pool};
use hakmem_core::{heap, scavenger, stats};
use hakmem_os::model::{explore, spawn};
use hakmem_os::slot;

/// Catches: a chain whose last block is not remembered.
#[test]
fn a_chain_freed_by_another_thread_returns_once() {
    explore("heaps, one frees a chain that the other has allocated", 1, || {
        fill_pool(1);
        // Two blocks of this size are sent together.
        let (one, two) = (Block::of(SIZE / 2), Block::of(SIZE / 2));
        let other = spawn(move || {
            // A thread that only frees sends each block at once.
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

/// Catches: a chain pushed onto the inbox without a link to what is there; an inbox that is read and emptied in two
/// steps.
#[test]
fn no_block_is_lost_where_two_threads_send_at_once() {
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

/// Catches: `Relaxed` instead of `Release` in `receive`, or instead of `Acquire` in `take_inbox`; an inbox that is
/// drained without the heap's lock; a lock that is released `Relaxed`.
#[test]
fn one_thread_at_a_time_drains_an_inbox() {
    explore("heaps, one frees, one drains, and the owner allocates", 1, || {
        let (theirs, mine) = (Block::new(), Block::new());
        let other = spawn(move || {
            slot::set_state(PAST_EXIT);
            theirs.free();
        });
        let scavenger_thread = spawn(|| {
            scavenger::empty_idle_heaps(None, false);
        });
        let more = Block::new();
        other.join();
        scavenger_thread.join();
        check_heaps(2);
        mine.free();
        more.free();
        check_heaps(0);
    });
}

/// Catches: an empty span that the page map still names when its heap's lock is released; an entry of the page map
/// stored `Relaxed`.
#[test]
fn the_search_for_holes_never_meets_a_span_that_gets_another_owner() {
    explore("heaps, one opens holes while a span goes from heap to heap", 1, || {
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

/// Catches: `Relaxed` instead of `AcqRel` where a new heap is put on the list of all.
#[test]
fn a_heap_is_complete_when_others_find_it() {
    explore("heaps, one thread begins and one counts the heaps", 2, || {
        let other = spawn(|| Block::new().free());
        let (_, heaps) = stats::misses_and_heaps();
        assert!(heaps <= 1);
        other.join();
        check_heaps(0);
    });
}
