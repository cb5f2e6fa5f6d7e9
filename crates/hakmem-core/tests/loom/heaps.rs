//! Thread heaps: blocks that come back from other threads, spans that change hands, and the list of all heaps.
//!
//! # Safety
//! A block is freed once, by the thread that has it.

use hakmem_core::base::sizes::class_of;
use hakmem_core::debug;
use hakmem_core::{heap, scavenger, stats};
use hakmem_os::atomic::note_write;
use hakmem_os::model::{explore, spawn};
use hakmem_os::{model, slot};

/// Two blocks of this size fill a span, and one is enough to be handed over at once.
const SIZE: usize = 32 << 10;

/// What the slot says in a thread whose heap is gone for good: it gets none, and hands over what it frees block by block.
const PAST_EXIT: usize = 1;

/// A block in the program's hands, which it may write.
struct Block(*mut u8);

impl Block {
    fn new() -> Block {
        Block::of(SIZE)
    }

    fn of(size: usize) -> Block {
        let block = Block(heap::allocate(size));
        assert!(!block.0.is_null());
        block.write();
        block
    }

    fn write(&self) {
        note_write(self.0 as usize);
    }

    fn free(self) {
        self.write();
        // SAFETY: a live block, which is forgotten.
        unsafe { heap::free(self.0) };
    }
}

/// Ends this thread as libc would.
fn exit() {
    model::exit(slot::state());
}

/// Lets a heap wait in the pool, so that the next thread need not make one.
fn fill_pool() {
    model::run_apart(|| {
        Block::new().free();
        exit();
    });
}

/// At rest, every count is what it counts, so many blocks are out, and none is on its way.
fn check_heaps(live: u64) {
    scavenger::take_from(None, false);
    assert_eq!(debug::validate(), Ok(live));
    let row = stats::row(class_of(SIZE));
    assert_eq!(row.remote_sent, row.remote_received);
}

/// Catches: a chain whose last block is not remembered.
#[test]
fn a_chain_freed_by_another_thread_comes_back_once() {
    explore("heaps, one frees a chain that the other has allocated", 1, || {
        fill_pool();
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
        fill_pool();
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
