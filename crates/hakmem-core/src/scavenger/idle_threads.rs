//! Threads that do nothing, and threads that are gone: what their heaps keep at hand is taken from them.
//!
//! Bins and runs are their owner's alone, without locks. The scavenger may act as the owner only while that thread is surely
//! outside the allocator and comes back to it through a door:
//!
//! 1. It is blocked in a system call, outside any signal handler, at two looks, and did not run in between (`hakmem_os::task`). So
//!    it is in no fast path, and in no slow path unless the heap is busy.
//! 2. Between the looks its slot was cleared. When it runs again every entry finds no heap, takes the slow path, and waits
//!    there for the lock.
//!
//! ```text
//!   Owned --slot about to be cleared--> Suspect --proved--> Taken
//!     ^                                    |                  |
//!     +---- not proved --------------------+--- comes back ---+
//! ```
//!
//! A taken heap stays its thread's: nobody else allocates from it. Only one thread takes, the scavenger, so a heap that is Suspect is
//! so by its doing, and since it said so last the owner has not come back.
//!
//! Numbers of threads are given again, and so are the addresses of their slots. What identifies a thread is the third word of its slot, which
//! holds the anchor of its heap from when it got that until it gives it back: the slot is cleared where it says so, and a heap
//! whose slot says something else, or is not there any more, belongs to a thread that ended without the exit hook. Such a heap goes
//! back to the pool.
//!
//! # Safety
//! Zeroing the first two words of a slot harms no thread that runs: its next call takes the slow path and finds its heap by the third.

use crate::base::wake_up;
use crate::heap::{Heap, Status, put_into_pool};
use hakmem_os::atomic::{
    Ordering::{Acquire, Relaxed, SeqCst},
    fence, glance,
};
use hakmem_os::slot;
use hakmem_os::task::{self, Cleared, Memory};

/// What a pass over all heaps found.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Found {
    /// Heaps of idle threads that were emptied, and of threads that are gone.
    pub taken: usize,
    /// Heaps that their threads have at hand.
    pub left: usize,
}

/// Serves every heap, and empties those of threads that wait for something: of all of them, or of those that neither allocated nor
/// freed since the last call. By the scavenger.
pub fn take_from(memory: Option<&Memory>, all: bool) -> Found {
    let mut found = Found::default();
    for heap in Heap::all() {
        heap.drain_if_free();
        if !matches!(heap.status(), Status::Owned | Status::Taken) {
            continue;
        }
        let now = glance(|| heap.signature());
        let wanted = heap.seen.swap(now, Relaxed) == now || all;
        let taken = wanted && memory.and_then(|memory| wake_up::unless_shut_in(|| heap.take(memory))).unwrap_or(false);
        if taken {
            found.taken += 1;
        } else if heap.status() == Status::Owned {
            found.left += 1;
            if !wanted && let Some(memory) = memory {
                wake_up::unless_shut_in(|| heap.call_to_slow_path(memory));
            }
        }
    }
    found
}

impl Heap {
    /// A number that changes when the owner allocates or frees, nearly always.
    fn signature(&self) -> usize {
        let parts = self.bins.iter().map(|bin| {
            bin.head.load(Relaxed) ^ (bin.pops.load(Relaxed) as usize) << 32 ^ bin.frees_left.load(Relaxed) as usize
        });
        parts.fold(self.ticks.get() as usize, |all, part| all.rotate_left(5) ^ part)
    }

    /// Takes all that this heap keeps at hand, if its thread waits for work or is gone; whether it did.
    fn take(&'static self, memory: &Memory) -> bool {
        let adoption = self.adoptions.load(Acquire);
        let (thread, place) = (self.thread.load(Acquire), self.place.load(Acquire));
        if place == 0 {
            return false;
        }
        if memory.word(place + slot::STATE) != Some(self.anchor()) {
            return self.bury(adoption);
        }
        // What is busy now is not worth the calls; what counts is asked under the lock.
        if self.status() != Status::Owned || self.busy.load(Relaxed) {
            return false;
        }
        let Some(switches) = task::blocked(thread, place, memory) else { return false };
        {
            let Some(_locked) = self.try_lock() else { return false };
            if !self.is_still(adoption, &[Status::Owned]) || self.busy.load(Acquire) {
                return false;
            }
            self.set_status(Status::Suspect);
        }
        // SAFETY: a word that holds our anchor is the third of a slot, or what is left of one in memory that waits for a new thread.
        let cleared = unsafe { memory.clear(place, self.anchor()) } == Cleared::Yes;
        fence(SeqCst);
        let proved = cleared && task::still_blocked(thread, switches);
        // At most its owner has the lock, on its way back, or who serves it.
        let locked = self.lock_as_visitor();
        if self.status() != Status::Suspect {
            return false;
        }
        if !proved {
            self.set_status(Status::Owned);
            return false;
        }
        self.set_status(Status::Taken);
        self.send_all();
        locked.empty();
        self.start_small();
        true
    }

    /// Whether this heap belongs to the same thread as when `adoption` was read, and has one of these states. Under the lock.
    fn is_still(&self, adoption: u32, states: &[Status]) -> bool {
        // The status comes first. A thread that adopts a heap does so without the lock, and counts that before it says that the heap is
        // its own: the count read before might be the old one, and the status the new one.
        states.contains(&self.status()) && self.adoptions.load(Relaxed) == adoption
    }

    /// Lets the next call of this heap's thread, which is awake, take a slow path: there it gives back what it does not use.
    fn call_to_slow_path(&self, memory: &Memory) {
        // While the lock is held the thread does not come past its exit hook, so its slot is where it was.
        let Some(_locked) = self.try_lock() else { return };
        let place = self.place.load(Relaxed);
        if place != 0 && self.status() == Status::Owned && !self.busy.load(Relaxed) {
            // SAFETY: as in `take`; a thread that runs finds its heap by the third word.
            unsafe { memory.clear(place, self.anchor()) };
        }
    }

    /// Puts the heap of a thread that is gone back into the pool, if it is still that thread's; whether it did.
    fn bury(&'static self, adoption: u32) -> bool {
        {
            let Some(locked) = self.try_lock() else { return false };
            if !self.is_still(adoption, &[Status::Owned, Status::Taken]) {
                return false;
            }
            if self.busy.load(Relaxed) {
                // It ended in the middle of a slow path.
                self.set_status(Status::Lost);
                return false;
            }
            self.settle_orphan();
            self.send_all();
            locked.empty();
            self.place.store(0, Relaxed);
            self.set_status(Status::Pooled);
        }
        put_into_pool(self);
        true
    }
}
