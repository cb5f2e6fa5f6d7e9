//! Every heap that was ever made, and those of them that wait in the pool for a thread.
//!
//! # Safety
//! Heaps come from `metadata`, so they live for ever.

use super::layout::{Heap, Status};
use crate::backend::huge_pages;
use crate::base::sync::Stack;
use crate::map::metadata;
use core::ptr;
use hakmem_os::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

static POOL: Stack<Heap> = Stack::new();
static NEWEST: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());
/// Heaps that threads own.
static OWNED: AtomicUsize = AtomicUsize::new(0);

/// Makes a heap that nobody owns; `None` when memory is out. Its bins are to be granted frees before they are used.
pub(super) fn make() -> Option<&'static Heap> {
    // SAFETY: numbers, null pointers, empty lists: zero is valid. Zero is also pooled, unlocked, not busy.
    let heap = unsafe { metadata::make::<Heap>() }?;
    huge_pages::note_heap();
    Some(heap)
}

/// Puts a heap that was made into the list of all.
pub(super) fn list(heap: &'static Heap) {
    let mut newest = NEWEST.load(Acquire);
    loop {
        heap.older.store(newest, Relaxed);
        // Releases what was written to the heap, to whoever finds it in the list.
        match NEWEST.compare_exchange(newest, ptr::from_ref(heap).cast_mut(), AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => newest = now,
        }
    }
}

/// Takes a heap from the pool.
pub(super) fn take_from_pool() -> Option<&'static Heap> {
    POOL.pop()
}

/// Puts a heap that was lent for one call back into the pool.
pub(super) fn return_to_pool(heap: &'static Heap) {
    POOL.push(heap);
}

/// Notes that a thread owns one more heap.
pub(super) fn note_owned() {
    OWNED.fetch_add(1, Relaxed);
}

/// Puts a heap that a thread owned into the pool.
pub(crate) fn put_into_pool(heap: &'static Heap) {
    OWNED.fetch_sub(1, Relaxed);
    POOL.push(heap);
}

/// In a child just forked: the pool is empty.
pub(super) fn empty_pool() {
    POOL.reset();
}

/// In a child just forked: so many heaps have an owner.
pub(super) fn count_owned(heaps: usize) {
    OWNED.store(heaps, Relaxed);
}

/// How many threads own a heap.
pub(crate) fn owned() -> usize {
    OWNED.load(Relaxed)
}

impl Heap {
    /// Every heap ever made, latest first.
    pub fn all() -> impl Iterator<Item = &'static Heap> {
        let mut at = NEWEST.load(Acquire);
        core::iter::from_fn(move || {
            // SAFETY: null or a heap, which lives for ever.
            let heap = unsafe { at.as_ref() }?;
            at = heap.older.load(Relaxed);
            Some(heap)
        })
    }

    /// What this heap is at the moment.
    pub fn status(&self) -> Status {
        match self.status.load(Acquire) {
            0 => Status::Pooled,
            1 => Status::Owned,
            2 => Status::Lost,
            3 => Status::Suspect,
            _ => Status::Taken,
        }
    }

    /// Under the lock, but for a heap that no thread has.
    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status as u32, Release);
    }
}
