//! How a thread gets at a heap: as the owner in a slow path, or as whoever holds the lock.
//!
//! The lock is a futex in the heap, and the only lock there is on the way of an allocation. No system call is made under it.

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
        // Whoever finds it idle, and acts as its owner, finds all that was done.
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

    /// Takes the lock as somebody else, who waits for it.
    pub(crate) fn lock_as_visitor(&self) -> Locked<'_> {
        self.locked(self.lock.lock())
    }

    /// Takes the lock as somebody else, if it is free.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        let held = self.lock.try_lock()?;
        (self.status() != Status::Lost).then(|| self.locked(held))
    }

    /// Lets the owner go on after its slot was cleared, by whoever it was.
    #[cold]
    #[inline(never)]
    pub(super) fn come_back(&self) {
        {
            let _locked = self.lock_as_owner();
            self.set_status(Status::Owned);
            this_thread::show(self);
        }
        wake_up::note_new_cache();
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Before the lock is free: who visits this heap for a span finds it by the page map, and looks there again under the lock.
        self.retired.iter().for_each(segment::mark_retired);
        drop(self.held.take());
        while let Some(span) = self.retired.pop() {
            segment::release_retired(span);
        }
        self.noticed.name();
    }
}

impl Locked<'_> {
    /// Takes the whole inbox.
    pub(super) fn take_inbox(&self) -> usize {
        if self.heap.inbox.load(Relaxed) == 0 {
            return 0;
        }
        self.heap.inbox_blocks.store(0, Relaxed);
        self.heap.inbox_bytes.store(0, Relaxed);
        self.heap.inbox.swap(0, Acquire)
    }
}
