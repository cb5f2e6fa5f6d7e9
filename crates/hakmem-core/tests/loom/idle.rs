//! Threads that wait for work, and the scavenger that takes what they cache.

use crate::blocks::{Block, PAST_EXIT, SIZE, begin_again, check_heaps, exit};
use hakmem_core::scavenger;
use hakmem_os::model::task::{Memory, wait_for_work};
use hakmem_os::model::{explore, spawn};
use hakmem_os::slot;

fn scavenge() {
    scavenger::empty_idle_heaps(Memory::open().as_ref(), true);
}

/// Catches: a heap that is taken although its thread is not blocked any more, or although its slot was not cleared.
#[test]
fn an_owner_that_wakes_shares_no_block() {
    explore("idle, one waits and allocates while the scavenger takes", 4, || {
        let (one, two) = (Block::of(SIZE / 2), Block::of(SIZE / 2));
        one.free();
        let other = spawn(scavenge);
        wait_for_work();
        let mine = Block::of(SIZE / 2);
        two.free();
        other.join();
        mine.write();
        check_heaps(1);
    });
}

/// Catches: the count of adoptions read before the status; an adoption that is not counted; a slot address that is
/// stored `Relaxed`, or that stays when the thread ends.
#[test]
fn a_slot_that_another_thread_got_is_not_taken_for_the_first_ones() {
    explore("idle, one waits and ends, and another one begins in its place while the scavenger takes", 2, || {
        Block::new().free();
        let other = spawn(scavenge);
        wait_for_work();
        exit();
        begin_again();
        let mine = Block::new();
        other.join();
        mine.write();
        check_heaps(1);
    });
}

/// Not yet seen to catch a weakening.
#[test]
fn a_block_sent_while_the_heap_is_taken_is_not_lost() {
    explore("idle, one waits and one frees its block while the scavenger takes", 3, || {
        let theirs = Block::new();
        let other = spawn(scavenge);
        let third = spawn(move || {
            slot::set_state(PAST_EXIT);
            theirs.free();
        });
        wait_for_work();
        other.join();
        third.join();
        check_heaps(0);
    });
}
