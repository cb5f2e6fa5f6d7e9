//! Heaps that change hands: left at a thread's end, adopted by another, lent for a call, and taken from a thread that vanished.

use crate::blocks::{Block, PAST_EXIT, SIZE, begin_anew, check_heaps, exit, fill_pool};
use hakmem_core::{heap, scavenger};
use hakmem_os::model::task::{Memory, vanish};
use hakmem_os::model::{explore, spawn};
use hakmem_os::slot;

fn scavenge() {
    scavenger::take_from(Memory::open().as_ref(), true);
}

/// Catches: `Relaxed` in place of `AcqRel` where a heap is put into the pool.
#[test]
fn a_heap_is_left_with_all_that_its_thread_did() {
    explore("adoption, one thread ends, one begins, and one frees a block of the first", 2, || {
        let theirs = Block::new();
        fill_pool(1);
        let other = spawn(move || {
            slot::set_state(PAST_EXIT);
            theirs.free();
        });
        let third = spawn(Block::new);
        exit();
        other.join();
        third.join().write();
        check_heaps(1);
    });
}

/// Catches: the same.
#[test]
fn two_threads_have_two_heaps() {
    explore("adoption, one thread begins and one allocates past its end", 2, || {
        Block::new().free();
        fill_pool(1);
        exit();
        let other = spawn(Block::new);
        let third = spawn(|| {
            slot::set_state(PAST_EXIT);
            Block::new()
        });
        let blocks = [other.join(), third.join()];
        blocks.iter().for_each(Block::write);
        check_heaps(2);
    });
}

/// Catches: the count of adoptions read before the status where a heap is to be buried; an adoption that is not counted; a place that is
/// stored `Relaxed`, or that stays when the thread ends.
#[test]
fn a_heap_that_was_adopted_anew_is_not_buried() {
    explore("adoption, a thread ends and another one begins in its place while the scavenger looks", 2, || {
        // The span of this one serves the thread that begins.
        let kept = Block::of(SIZE / 2);
        heap::collect();
        let other = spawn(scavenge);
        exit();
        begin_anew();
        let mine = Block::of(SIZE / 2);
        other.join();
        mine.write();
        kept.write();
        check_heaps(2);
    });
}

/// Not yet seen to catch a weakening: a heap that is in the pool before its status says so does no harm here.
#[test]
fn a_heap_of_a_thread_that_vanished_is_buried_once() {
    explore("adoption, one begins while the scavenger finds a thread that vanished", 2, || {
        Block::new().free();
        fill_pool(1);
        let other = spawn(scavenge);
        vanish();
        begin_anew();
        let blocks = [Block::new(), Block::new()];
        other.join();
        blocks.iter().for_each(Block::write);
        check_heaps(2);
    });
}
