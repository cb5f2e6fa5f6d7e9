//! Words that threads share: the atomics of `core`, and what a model of them puts in their place.
//!
//! The allocator takes its atomics and cells from here. Normally they are the ones of `core`, and the notes below are nothing.
//! Under `cfg(loom)` each operation goes to the model checker `loom`, which tries the orders in which the operations of several
//! threads may come, and the values that a load may then see: so what is modelled is the code that ships. See `model.rs`.

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

/// Notes that this thread reads plain memory at `address`: in a model, nobody may be writing there at the same time.
#[inline(always)]
pub fn note_read(address: usize) {
    #[cfg(loom)]
    crate::model::note_read(address);
    let _ = address;
}

/// Notes that this thread writes plain memory at `address`: in a model, nobody may be reading or writing there at the same time.
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
