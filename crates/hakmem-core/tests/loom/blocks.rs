//! Blocks of small size in the hands of a model's threads, and what these do with their heaps.
//!
//! # Safety
//! A block is freed once, by the thread that has it.

use hakmem_core::base::sizes::class_of;
use hakmem_core::{debug, heap, scavenger, stats};
use hakmem_os::atomic::note_write;
use hakmem_os::{model, slot};

/// Two blocks of this size fill a span, and one is enough to be handed over at once.
pub const SIZE: usize = 32 << 10;

/// What the slot says in a thread whose heap is gone for good: it gets none, and hands over what it frees block by block.
pub const PAST_EXIT: usize = 1;

/// A block in the program's hands, which it may write.
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
        // SAFETY: a live block, which is forgotten.
        unsafe { heap::free(self.0) };
    }
}

/// Ends this thread as libc would.
pub fn exit() {
    model::exit(slot::state());
}

/// From here on this is another thread, which got the number of one that ended, and its slot.
pub fn begin_anew() {
    slot::set_state(0);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// Lets so many heaps wait in the pool, so that threads that begin need not make one.
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

/// At rest, every count is what it counts, so many blocks are out, and none is on its way.
pub fn check_heaps(live: u64) {
    scavenger::take_from(None, false);
    assert_eq!(debug::validate(), Ok(live));
    let row = stats::row(class_of(SIZE));
    assert_eq!(row.remote_sent, row.remote_received);
}
