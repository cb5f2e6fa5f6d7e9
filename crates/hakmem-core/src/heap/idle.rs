//! Threads that do nothing: what their heaps keep at hand is taken from them.
//!
//! Bins and runs are their owner's alone, without locks. Another thread may act as the owner only while that thread is surely
//! outside the allocator and comes back to it through a door:
//!
//! 1. It used no processor time from one look at its clock to another, and was blocked in a system call in between, outside
//!    any signal handler. So it is in no fast path, and in no slow path unless the heap is busy.
//! 2. Before the second look its slot was cleared. When it runs again every entry finds no heap, takes the slow path, and waits
//!    there for the lock.
//!
//! ```text
//!   Owned --slot cleared--> Suspect --proved--> Taken
//!     ^                        |                  |
//!     +---- not proved --------+--- comes back ---+
//! ```
//!
//! A taken heap stays its thread's: nobody else allocates from it.
//!
//! # Safety
//! A heap's slot address is good while its status is not Pooled, which changes under the lock only.

use super::{GROUND, Heap, Status};
use crate::bell;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, SeqCst},
    fence,
};
use hakmem_os::{slot, task};

/// Whether the clocks of threads prove anything here: 0 not yet known, 1 yes, 2 no.
static CLOCKS: AtomicU32 = AtomicU32::new(0);

fn clocks_are_exact() -> bool {
    if CLOCKS.load(Relaxed) == 0 {
        CLOCKS.store(if task::clocks_are_exact() { 1 } else { 2 }, Relaxed);
    }
    CLOCKS.load(Relaxed) == 1
}

/// What a pass over all heaps found.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Found {
    /// Heaps of idle threads that were emptied.
    pub taken: usize,
    /// Heaps that their threads have at hand.
    pub left: usize,
}

/// Serves every heap, and empties those of threads that neither allocated nor freed since the last call.
pub fn take_from_idle() -> Found {
    take_from(|heap| {
        let now = heap.signature();
        heap.seen.swap(now, Relaxed) == now
    })
}

/// Serves every heap, and empties those of all threads that wait for something at this moment.
pub fn take_from_waiting() -> Found {
    take_from(|_| true)
}

fn take_from(wanted: impl Fn(&Heap) -> bool) -> Found {
    let mut found = Found::default();
    let mut may_look = None;
    for heap in Heap::all() {
        heap.serve();
        if heap.status() != Status::Owned {
            continue;
        }
        let may_look = wanted(heap) && *may_look.get_or_insert_with(|| clocks_are_exact() && !bell::is_shut_in());
        if may_look && heap.take() {
            found.taken += 1;
        } else {
            found.left += 1;
        }
    }
    found
}

impl Heap {
    /// A number that changes when the owner allocates or frees, nearly always.
    fn signature(&self) -> usize {
        let parts = self.bins.iter().map(|bin| {
            bin.head.load(Relaxed) ^ (bin.pops.load(Relaxed) as usize) << 32 ^ bin.room.load(Relaxed) as usize
        });
        parts.fold(self.ticks.get() as usize, |all, part| all.rotate_left(5) ^ part)
    }

    /// Takes all that this heap keeps at hand, if its thread waits for work; whether it did.
    fn take(&'static self) -> bool {
        let (thread, place) = (self.thread.load(Acquire), self.place.load(Acquire));
        // What is busy now is not worth the calls; what counts is asked under the lock.
        if place == 0 || self.busy.load(Relaxed) {
            return false;
        }
        let Some(before) = task::time_used(thread) else { return false };
        if !task::waits_for_work(thread) {
            return false;
        }
        {
            let Some(_inside) = self.visit() else { return false };
            let same = self.thread.load(Relaxed) == thread && self.place.load(Relaxed) == place;
            if !same || self.status() != Status::Owned || self.busy.load(Acquire) {
                return false;
            }
            // SAFETY: the status says that the thread has not ended, and cannot change now.
            unsafe { slot::clear(place) };
            self.set_status(Status::Suspect);
        }
        fence(SeqCst);
        let after = task::time_used(thread);
        // At most its owner has the lock, on its way back, or who serves it.
        let inside = self.enter();
        if self.status() != Status::Suspect {
            return false;
        }
        if after != Some(before) {
            self.set_status(Status::Owned);
            return false;
        }
        self.set_status(Status::Taken);
        self.send_all();
        inside.empty();
        self.start_small();
        true
    }

    /// Lets the owner go on after its slot was cleared, by whoever it was.
    #[cold]
    #[inline(never)]
    pub(super) fn come_back(&self) {
        {
            let _inside = self.enter();
            self.set_status(Status::Owned);
            slot::set_distance((&raw const self.bins as usize).wrapping_sub(&raw const GROUND as usize));
            slot::set_heap(self.anchor());
        }
        bell::tell();
    }
}
