//! Small blocks for the threads of a model, and what these threads do with their heaps.
//!
//! # Safety
//! A block is freed once, by the thread that holds it.

use hakmem_core::base::sizes::class_of;
use hakmem_core::{debug, heap, scavenger, stats};
use hakmem_os::atomic::note_write;
use hakmem_os::{model, slot};

/// Two blocks of this size fill a span, and a single one is large enough to be sent to its owner at once.
pub const SIZE: usize = 32 << 10;

/// The slot's state in a thread past its exit hook: it gets no heap of its own, and sends each block that it frees at
/// once.
pub const PAST_EXIT: usize = 1;

/// A live block, which the program may write.
pub struct Block(*mut u8);

impl Block {
    pub fn new() -> Block {
        Block::of(SIZE)
    }

    pub fn of(size: usize) -> Block {
        let block = Block(heap::allocate(size));
        assert!(!block.0.is_null());
        block.write();
        block
    }

    pub fn write(&self) {
        note_write(self.0 as usize);
    }

    pub fn free(self) {
        self.write();
        // SAFETY: a live block, which this function consumes.
        unsafe { heap::free(self.0) };
    }
}

/// Ends this thread as libc does.
pub fn exit() {
    model::exit(slot::state());
}

/// From here on this thread stands for another one, which got the number and the slot of one that has ended.
pub fn begin_again() {
    slot::set_state(0);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// Puts `heaps` heaps into the pool, so that threads that begin need not make one.
pub fn fill_pool(heaps: usize) {
    if heaps != 0 {
        model::run_apart(move || {
            let block = Block::new();
            fill_pool(heaps - 1);
            block.free();
            exit();
        });
    }
}

/// Checks, while no other thread runs, that every count is right, that `live` blocks are live, and that none is on its
/// way to its owner.
pub fn check_heaps(live: u64) {
    scavenger::empty_idle_heaps(None, false);
    assert_eq!(debug::validate(), Ok(live));
    let row = stats::row(class_of(SIZE));
    assert_eq!(row.remote_sent, row.remote_received);
}
