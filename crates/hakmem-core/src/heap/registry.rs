//! The list of all heaps that were ever made, and the pool of heaps that wait for a thread.
//!
//! # Safety
//! Heaps come from `metadata`, so they are never unmapped.

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
static NEWEST_HEAP: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());
/// Number of heaps that threads own.
static OWNED: AtomicUsize = AtomicUsize::new(0);

/// Makes a heap without an owner; `None` when memory is out. The caller grants frees to its bins before they are used.
pub(super) fn make() -> Option<&'static Heap> {
    // SAFETY: zero is valid for all fields: numbers, null pointers, empty lists. Zero also means pooled, unlocked and
    // not busy.
    let heap = unsafe { metadata::make::<Heap>() }?;
    huge_pages::note_heap();
    Some(heap)
}

/// Puts a new heap into the list of all heaps.
pub(super) fn add(heap: &'static Heap) {
    let mut newest = NEWEST_HEAP.load(Acquire);
    loop {
        heap.older.store(newest, Relaxed);
        // Release: pairs with the Acquire load in `Heap::all`, so a thread that finds the heap in the list sees its
        // fields.
        match NEWEST_HEAP.compare_exchange(newest, ptr::from_ref(heap).cast_mut(), AcqRel, Acquire) {
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
pub(super) fn pool_unowned(heap: &'static Heap) {
    POOL.push(heap);
}

/// Notes that a thread owns one more heap.
pub(super) fn note_owned() {
    OWNED.fetch_add(1, Relaxed);
}

/// Puts a heap that a thread owned into the pool.
pub(crate) fn pool_owned(heap: &'static Heap) {
    OWNED.fetch_sub(1, Relaxed);
    POOL.push(heap);
}

/// Empties the pool without touching its heaps, in a child process.
pub(super) fn empty_pool() {
    POOL.reset();
}

/// Sets the number of heaps that have an owner, in a child process.
pub(super) fn count_owned(heaps: usize) {
    OWNED.store(heaps, Relaxed);
}

/// Returns how many threads own a heap.
pub(crate) fn owned() -> usize {
    OWNED.load(Relaxed)
}

impl Heap {
    /// Iterates over all heaps that were ever made, latest first.
    pub fn all() -> impl Iterator<Item = &'static Heap> {
        let mut at = NEWEST_HEAP.load(Acquire);
        core::iter::from_fn(move || {
            // SAFETY: the pointer is null or that of a heap, which is never unmapped.
            let heap = unsafe { at.as_ref() }?;
            at = heap.older.load(Relaxed);
            Some(heap)
        })
    }

    /// Returns the state of this heap.
    pub fn status(&self) -> Status {
        // Acquire: pairs with the Release store in `set_status`.
        match self.status.load(Acquire) {
            0 => Status::Pooled,
            1 => Status::Owned,
            2 => Status::Lost,
            3 => Status::Suspect,
            _ => Status::Taken,
        }
    }

    /// Sets the state of this heap. Called under the lock, except for a heap that no other thread uses yet.
    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status as u32, Release);
    }
}
