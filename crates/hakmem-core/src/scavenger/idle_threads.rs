//! Empties the heaps of idle threads, and returns the heaps of threads that have ended to the pool.
//!
//! Only the owner touches its bins and runs, without a lock. The scavenger may act as the owner only while the owner is
//! proved to be outside the allocator, and cannot enter it again without the heap's lock:
//!
//! 1. The owner is blocked in a system call, outside any signal handler, at two looks, and did not run between them
//!    (`hakmem_os::task`). So it is in no fast path, and in no slow path unless the heap is busy.
//! 2. The scavenger cleared the owner's slot between the looks. When the owner runs again, its next call finds no heap,
//!    takes the slow path, and waits there for the lock.
//!
//! ```text
//!   Owned --slot about to be cleared--> Suspect --proved--> Taken
//!     ^                                    |                  |
//!     +---- not proved --------------------+--- comes back ---+
//! ```
//!
//! A taken heap still belongs to its thread: no other thread allocates from it. Only the scavenger makes a heap
//! Suspect, and the owner makes it Owned when it comes back. So if the scavenger still finds the heap Suspect, the
//! owner has not come back.
//!
//! The kernel reuses the numbers of threads, and the C library the addresses of their slots. The third word of a slot
//! identifies the thread: it holds the anchor of the thread's heap for as long as the thread owns that heap. The
//! scavenger clears a slot only if its third word is the heap's anchor. If it is anything else, or the slot is not
//! mapped any more, the owner has ended without its exit hook, and the heap goes back to the pool.
//!
//! # Safety
//! Zeroing the first two words of a slot is harmless to a running thread: its next call takes the slow path and finds
//! its heap by the third word.

use crate::base::wake_up;
use crate::heap::{Heap, Status, pool_owned};
use hakmem_os::atomic::{
    Ordering::{Acquire, Relaxed, SeqCst},
    fence, glance,
};
use hakmem_os::slot;
use hakmem_os::task::{self, Cleared, Memory};

/// The result of a pass over all heaps.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Found {
    /// Number of heaps that were emptied: of idle threads, and of threads that have ended.
    pub taken: usize,
    /// Number of heaps that are owned and were not emptied.
    pub left: usize,
}

/// Drains every inbox, and empties the heaps of waiting threads: with `all` of all waiting threads, otherwise of those
/// that neither allocated nor freed since the last call. Called by the scavenger.
pub fn empty_idle_heaps(memory: Option<&Memory>, all: bool) -> Found {
    let mut found = Found::default();
    for heap in Heap::all() {
        heap.drain_if_free();
        if !matches!(heap.status(), Status::Owned | Status::Taken) {
            continue;
        }
        let now = glance(|| heap.signature());
        let wanted = heap.last_signature.swap(now, Relaxed) == now || all;
        let taken = wanted && memory.and_then(|memory| wake_up::unless_shut_in(|| heap.take(memory))).unwrap_or(false);
        if taken {
            found.taken += 1;
        } else if heap.status() == Status::Owned {
            found.left += 1;
            if !wanted && let Some(memory) = memory {
                wake_up::unless_shut_in(|| heap.force_slow_path(memory));
            }
        }
    }
    found
}

impl Heap {
    /// Returns a number that nearly always changes when the owner allocates or frees.
    fn signature(&self) -> usize {
        let parts = self.bins.iter().map(|bin| {
            bin.head.load(Relaxed) ^ (bin.pops.load(Relaxed) as usize) << 32 ^ bin.frees_left.load(Relaxed) as usize
        });
        parts.fold(self.ticks.get() as usize, |all, part| all.rotate_left(5) ^ part)
    }

    /// Empties this heap if its thread waits for work, or returns it to the pool if its thread has ended. Returns
    /// whether it did either.
    fn take(&'static self, memory: &Memory) -> bool {
        let adoption = self.adoptions.load(Acquire);
        // A thread that adopts the heap writes its slot before it sets the status to `Owned`. So the status is read before
        // the slot: a slot that names no heap then belongs to a thread that has ended, not to one that adopts this heap.
        if !matches!(self.status(), Status::Owned | Status::Taken) {
            return false;
        }
        let (thread, address) = (self.thread.load(Acquire), self.slot_address.load(Acquire));
        if address == 0 {
            return false;
        }
        if memory.word(address + slot::STATE) != Some(self.anchor()) {
            return self.pool_heap_of_ended_thread(adoption);
        }
        // This saves the system calls for a busy heap. The check that decides is made under the lock.
        if self.status() != Status::Owned || self.busy.load(Relaxed) {
            return false;
        }
        let Some(switches) = task::blocked(thread, address, memory) else { return false };
        {
            let Some(_locked) = self.try_lock() else { return false };
            if !self.is_still(adoption, &[Status::Owned]) || self.busy.load(Acquire) {
                return false;
            }
            self.set_status(Status::Suspect);
        }
        // SAFETY: a word that holds this anchor is the third word of a slot, or of a former slot in memory that waits
        // for a new thread.
        let cleared = unsafe { memory.clear(address, self.anchor()) } == Cleared::Yes;
        // The slot is cleared before the second look at the owner.
        fence(SeqCst);
        let proved = cleared && task::still_blocked(thread, switches);
        // The lock may be held by the owner, which is coming back, or by a thread that drains the inbox. Neither holds
        // it for long.
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
        self.reset_budget();
        true
    }

    /// Whether this heap still belongs to the thread that owned it when `adoption` was read, and has one of these
    /// states. Called under the lock.
    fn is_still(&self, adoption: u32, states: &[Status]) -> bool {
        // The status is read first: it pairs with the store in `adopt`, where a thread without the lock counts its
        // adoption and then sets the status. In the other order the count read could be the old one and the status the
        // new one.
        states.contains(&self.status()) && self.adoptions.load(Relaxed) == adoption
    }

    /// Makes the next call of this heap's owner, which is running, take a slow path, where it ages its caches.
    fn force_slow_path(&self, memory: &Memory) {
        // While this thread holds the lock the owner cannot finish its exit hook, so its slot stays mapped.
        let Some(_locked) = self.try_lock() else { return };
        let address = self.slot_address.load(Relaxed);
        if address != 0 && self.status() == Status::Owned && !self.busy.load(Relaxed) {
            // SAFETY: as in `take`; a running thread finds its heap by the third word.
            unsafe { memory.clear(address, self.anchor()) };
        }
    }

    /// Puts the heap of a thread that has ended into the pool, if it still belongs to that thread. Returns whether it
    /// did.
    fn pool_heap_of_ended_thread(&'static self, adoption: u32) -> bool {
        {
            let Some(locked) = self.try_lock() else { return false };
            if !self.is_still(adoption, &[Status::Owned, Status::Taken]) {
                return false;
            }
            if self.busy.load(Relaxed) {
                // The thread ended inside a slow path.
                self.set_status(Status::Lost);
                return false;
            }
            self.settle_orphan();
            self.send_all();
            locked.empty();
            self.slot_address.store(0, Relaxed);
            self.set_status(Status::Pooled);
        }
        pool_owned(self);
        true
    }
}
