//! The words that threads share. The allocator takes all its atomics and cells from here.
//!
//! Normally they are those of `core`, and the notes below do nothing. Under `cfg(loom)` each operation goes to the model checker `loom`.
//! It tries the orders in which the operations of several threads can happen, and the values that each load can then see. So what is
//! modelled is the code that ships. See `model/mod.rs`.

#[cfg(not(loom))]
pub use core::cell::Cell;
#[cfg(not(loom))]
pub use core::sync::atomic::{
    AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, compiler_fence, fence,
};

#[cfg(loom)]
pub use crate::model::{
    AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Cell, compiler_fence, fence,
};

pub use core::sync::atomic::Ordering;

/// Notes that this thread reads plain memory at `address`. A model fails if another thread may be writing there at the same time.
#[inline(always)]
pub fn note_read(address: usize) {
    #[cfg(loom)]
    crate::model::note_read(address);
    let _ = address;
}

/// Notes that this thread writes plain memory at `address`. A model fails if another thread may be reading or writing there at the same
/// time.
#[inline(always)]
pub fn note_write(address: usize) {
    #[cfg(loom)]
    crate::model::note_write(address);
    let _ = address;
}

/// Reads words of which any value will do that they had lately: a model does not try each.
#[inline(always)]
pub fn glance<T>(look: impl FnOnce() -> T) -> T {
    #[cfg(loom)]
    return crate::model::glance(look);
    #[cfg(not(loom))]
    look()
}
