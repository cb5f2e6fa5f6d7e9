//! Access to a heap: by its owner in a slow path, or by the thread that holds the heap's lock.
//!
//! The lock is a futex in the heap. It is the only lock that allocations take, but for the first one of a process, which
//! registers the exit hook under a lock. No thread makes a system call while it holds a heap's lock, with two exceptions:
//! the scavenger clears a slot under it, and from the fifth misuse on that is found under one hold, reports are written.

use super::layout::{Heap, Locked, Status};
use super::notice::Noticed;
use super::this_thread;
use crate::backend::segment;
use crate::backend::span::SpanList;
use crate::base::wake_up;
use core::ops::Deref;
use hakmem_os::atomic::Ordering::{Acquire, Relaxed, Release};
use hakmem_os::futex::Held;

/// A heap whose owner is in a slow path.
pub(super) struct SlowPath(pub(super) &'static Heap);

impl Deref for SlowPath {
    type Target = Heap;

    fn deref(&self) -> &Heap {
        self.0
    }
}

impl Drop for SlowPath {
    fn drop(&mut self) {
        // Release: pairs with the Acquire load of `busy` in `Heap::take`, so the scavenger that then acts as the owner
        // sees all changes of this slow path.
        self.busy.store(false, Release);
    }
}

impl Heap {
    fn locked<'a>(&'a self, held: Held<'a>) -> Locked<'a> {
        Locked { heap: self, held: Some(held), retired: SpanList::default(), noticed: Noticed::new() }
    }

    /// Takes the lock as the owner.
    pub(crate) fn lock_as_owner(&self) -> Locked<'_> {
        self.locked(self.lock.lock_as_owner())
    }

    /// Takes the lock as a thread that is not the owner. Waits for it.
    pub(crate) fn lock_as_visitor(&self) -> Locked<'_> {
        self.locked(self.lock.lock())
    }

    /// Takes the lock as a thread that is not the owner, if it is free. `None` also for a lost heap.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        let held = self.lock.try_lock()?;
        (self.status() != Status::Lost).then(|| self.locked(held))
    }

    /// Makes the heap usable again for its owner, after the scavenger cleared the owner's slot.
    #[cold]
    #[inline(never)]
    pub(super) fn come_back(&self) {
        {
            let _locked = self.lock_as_owner();
            self.set_status(Status::Owned);
            this_thread::show_to_fast_paths(self);
        }
        wake_up::note_new_cache();
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // This comes before the lock is released: a thread that finds one of these spans by the page map reads the page
        // map again under the lock.
        self.retired.iter().for_each(segment::mark_retired);
        drop(self.held.take());
        while let Some(span) = self.retired.pop() {
            segment::release_retired(span);
        }
        self.noticed.report();
    }
}

impl Locked<'_> {
    /// Takes all blocks out of the inbox and returns the first; 0 if the inbox is empty.
    pub(super) fn take_inbox(&self) -> usize {
        if self.heap.inbox.load(Relaxed) == 0 {
            return 0;
        }
        self.heap.inbox_blocks.store(0, Relaxed);
        self.heap.inbox_bytes.store(0, Relaxed);
        // Acquire: pairs with the Release exchange in `Heap::receive`, so this thread sees the links of the chains.
        self.heap.inbox.swap(0, Acquire)
    }
}
