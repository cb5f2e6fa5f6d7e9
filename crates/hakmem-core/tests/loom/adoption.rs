//! Heaps that change their owner: left when a thread ends, adopted by another thread, lent for one call, and taken from
//! a thread that vanished.

use crate::blocks::{Block, PAST_EXIT, SIZE, begin_again, check_heaps, exit, fill_pool};
use hakmem_core::{heap, scavenger};
use hakmem_os::model::task::{Memory, vanish};
use hakmem_os::model::{explore, spawn};
use hakmem_os::slot;

fn scavenge() {
    scavenger::empty_idle_heaps(Memory::open().as_ref(), true);
}

/// Catches: `Relaxed` instead of `AcqRel` where a heap is put into the pool.
#[test]
fn an_adopted_heap_shows_all_that_its_first_thread_did() {
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

/// Catches: the count of adoptions read before the status where a heap is retired for a vanished thread; an adoption
/// that is not counted; a slot address that is stored `Relaxed`, or that stays when the thread ends.
#[test]
fn an_adopted_heap_is_not_taken_from_its_new_thread() {
    explore("adoption, a thread ends and another one begins in its place while the scavenger looks", 2, || {
        // The span of this block serves the thread that begins.
        let other_block = Block::of(SIZE / 2);
        heap::collect();
        let other = spawn(scavenge);
        exit();
        begin_again();
        let mine = Block::of(SIZE / 2);
        other.join();
        mine.write();
        other_block.write();
        check_heaps(2);
    });
}

/// Not yet seen to catch a weakening: it does no harm here if a heap is in the pool before its status says so.
#[test]
fn a_heap_of_a_vanished_thread_is_put_into_the_pool_once() {
    explore("adoption, one begins while the scavenger finds a thread that vanished", 2, || {
        Block::new().free();
        fill_pool(1);
        let other = spawn(scavenge);
        vanish();
        begin_again();
        let blocks = [Block::new(), Block::new()];
        other.join();
        blocks.iter().for_each(Block::write);
        check_heaps(2);
    });
}
