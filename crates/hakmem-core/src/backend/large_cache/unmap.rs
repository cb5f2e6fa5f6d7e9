//! Unmaps cached mappings, and handles the kernel's refusals.
//!
//! # Safety
//! Only the owner of a descriptor unmaps its mapping: the thread that took it out of a slot or off a stack, or that frees the block.

use super::extent::{CACHED_BYTES, PEAK, live, note_unmapped};
use super::mapping::{Mapping, Phase, free_descriptor};
use super::slots::{SLOTS, look_at, put_in_slot, take_out};
use crate::backend::purge::Purge;
use crate::base::accounting;
use crate::base::sync::Stack;
use crate::map::page_map;
use hakmem_os::atomic::{AtomicBool, Ordering::Relaxed};
use hakmem_os::vm;

/// Mappings that the kernel refused to unmap and that have no slot.
pub(super) static REFUSED: Stack<Mapping> = Stack::new();
/// Whether the kernel refused the latest unmapping.
pub(super) static LAST_UNMAP_REFUSED: AtomicBool = AtomicBool::new(false);

/// Unmaps a mapping and returns how many bytes that were. Where the kernel refuses (too many mappings, say), it returns 0 and the
/// mapping is cached again, or waits for the next pass if no slot is free.
pub(super) fn unmap_or_cache(mapping: &'static Mapping) -> usize {
    let (base, bytes) = (mapping.base.load(Relaxed), mapping.bytes.load(Relaxed));
    page_map::set(base, 1, 0);
    mapping.set_phase(Phase::Changing);
    // SAFETY: this thread owns the descriptor, and so the mapping.
    if !unsafe { vm::unmap(base, bytes) } {
        page_map::set(base, 1, page_map::FREED);
        LAST_UNMAP_REFUSED.store(true, Relaxed);
        mapping.set_phase(Phase::Cached);
        if !put_in_slot(mapping) {
            CACHED_BYTES.fetch_add(bytes, Relaxed);
            mapping.set_phase(Phase::Refused);
            REFUSED.push(mapping);
        }
        return 0;
    }
    LAST_UNMAP_REFUSED.store(false, Relaxed);
    note_unmapped(bytes);
    free_descriptor(mapping);
    bytes
}

/// Puts a mapping into a slot, or unmaps it if no slot is free.
pub(super) fn cache_or_unmap(mapping: &'static Mapping) {
    if !put_in_slot(mapping) {
        unmap_or_cache(mapping);
    }
}

/// Unmaps cached mappings and returns how many bytes that were.
pub fn unmap(which: Purge) -> usize {
    let mut unmapped = 0;
    if !matches!(which, Purge::Bytes(_)) {
        let live = live();
        PEAK.store(if which == Purge::All { live } else { live.max(PEAK.load(Relaxed) / 2) }, Relaxed);
        unmapped += retry_refused();
    }
    for slot in &SLOTS {
        let Some(mapping) = look_at(slot) else { continue };
        let is_due = match which {
            Purge::All => true,
            Purge::Aged => mapping.age.fetch_add(1, Relaxed) != 0,
            Purge::Bytes(most) => unmapped + mapping.bytes.load(Relaxed) <= most,
        };
        if is_due && let Some(mapping) = take_out(slot, mapping) {
            unmapped += unmap_or_cache(mapping);
        }
    }
    unmapped
}

/// Tries again to unmap what the kernel refused to, until it refuses again; returns how many bytes it unmapped.
fn retry_refused() -> usize {
    let mut unmapped = 0;
    while let Some(mapping) = REFUSED.pop() {
        mapping.set_phase(Phase::Cached);
        CACHED_BYTES.fetch_sub(mapping.bytes.load(Relaxed), Relaxed);
        match unmap_or_cache(mapping) {
            0 => break,
            bytes => unmapped += bytes,
        }
    }
    unmapped
}

/// Charges `bytes`, and unmaps what is cached where that makes room for them; false beyond the hard limit.
pub fn charge(bytes: usize) -> bool {
    accounting::charge(bytes) || unmap_for(bytes) && accounting::charge(bytes)
}

/// Unmaps all that is cached, if that is likely to make room for `bytes`; whether anything was unmapped.
pub fn unmap_for(bytes: usize) -> bool {
    let cached = CACHED_BYTES.load(Relaxed);
    cached != 0 && accounting::could_have(bytes, cached) && unmap(Purge::All) != 0
}
