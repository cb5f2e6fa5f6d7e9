//! The 64 slots in which cached mappings wait. A slot changes hands by one atomic exchange of its pointer.
//!
//! # Safety
//! A slot holds null or a descriptor. The thread that takes a descriptor out of a slot owns its mapping.

use super::extent::CACHED_BYTES;
use super::mapping::Mapping;
use crate::base::wake_up;
use core::ptr;
use hakmem_os::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

/// The most mappings that are cached.
const COUNT: usize = 64;

pub(super) static SLOTS: [AtomicPtr<Mapping>; COUNT] = [const { AtomicPtr::new(ptr::null_mut()) }; COUNT];

/// Returns the mapping that stands in `slot`, which another thread may take out at any moment.
pub(super) fn look_at(slot: &AtomicPtr<Mapping>) -> Option<&'static Mapping> {
    // SAFETY: null or a descriptor, which is never unmapped.
    unsafe { slot.load(Acquire).as_ref() }
}

/// Returns the bytes of the mappings that stand in slots, counted slot by slot; exact while no other thread changes them.
pub fn count_cached() -> usize {
    SLOTS.iter().filter_map(look_at).map(|mapping| mapping.bytes.load(Relaxed)).sum()
}

/// Puts a mapping into a free slot, where requests find it; false if every slot is taken.
pub(super) fn put_in_slot(mapping: &'static Mapping) -> bool {
    let new = ptr::from_ref(mapping).cast_mut();
    // `SeqCst` pairs with the scavenger, which announces that it sleeps and then reads this sum: see `wake_up`.
    CACHED_BYTES.fetch_add(mapping.bytes.load(Relaxed), SeqCst);
    wake_up::notify();
    for slot in SLOTS.iter().filter(|slot| slot.load(Relaxed).is_null()) {
        if slot.compare_exchange(ptr::null_mut(), new, AcqRel, Relaxed).is_ok() {
            return true;
        }
    }
    CACHED_BYTES.fetch_sub(mapping.bytes.load(Relaxed), Relaxed);
    false
}

/// Takes `mapping` out of `slot`, if it still stands there.
pub(super) fn take_out(slot: &AtomicPtr<Mapping>, mapping: &Mapping) -> Option<&'static Mapping> {
    let expected = ptr::from_ref(mapping).cast_mut();
    slot.compare_exchange(expected, ptr::null_mut(), AcqRel, Relaxed).ok()?;
    // SAFETY: a descriptor, which this thread owns since the exchange.
    let mapping: &'static Mapping = unsafe { &*expected };
    CACHED_BYTES.fetch_sub(mapping.bytes.load(Relaxed), Relaxed);
    Some(mapping)
}
