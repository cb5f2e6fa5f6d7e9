//! Which mappings are cached, and which cached mapping serves a request.
//!
//! # Safety
//! What is read of a mapping in a slot is a hint: it is checked again once this thread has taken the mapping out.

use super::extent::{CACHED_BYTES, LARGE_MAPPED_BYTES, PEAK, live};
use super::mapping::{MIXED, Mapping, Phase, SPARE_MAPPINGS, new_descriptor};
use super::slots::{SLOTS, look_at, put_in_slot, take_out};
use super::unmap::{LAST_UNMAP_REFUSED, cache_or_unmap, unmap_or_cache};
use crate::base::sizes::SLAB;
use crate::map::page_map;
use crate::policy;
use hakmem_os::atomic::{
    AtomicPtr,
    Ordering::{Relaxed, Release},
};

/// Caches a mapping whose block was freed, or unmaps it.
pub fn put(mapping: &'static Mapping) {
    mapping.set_phase(Phase::Cached);
    let policy = policy::current();
    mapping.age.store(0, Relaxed);
    let wanted =
        policy.decay_ms != 0 && CACHED_BYTES.load(Relaxed) + mapping.bytes.load(Relaxed) <= policy.retain_bytes;
    if mapping.immovable.load(Relaxed) || !(wanted && put_in_slot(mapping)) {
        unmap_or_cache(mapping);
    }
}

/// Takes the cached mapping with the lowest rank out of its slot. `rank` returns `None` for a mapping that does not serve; it is asked
/// again once the mapping is taken out, and the mapping is put back if it does not serve any more.
fn take_lowest(rank: impl Fn(&Mapping) -> Option<usize>) -> Option<&'static Mapping> {
    let mut best: Option<(usize, &AtomicPtr<Mapping>, &Mapping)> = None;
    for slot in &SLOTS {
        if let Some(mapping) = look_at(slot)
            && let Some(number) = rank(mapping)
            && best.is_none_or(|(lowest, ..)| number < lowest)
        {
            best = Some((number, slot, mapping));
        }
    }
    let (_, slot, mapping) = best?;
    let mapping = take_out(slot, mapping)?;
    if rank(mapping).is_none() {
        put(mapping);
        return None;
    }
    Some(mapping)
}

/// Returns a cached mapping of at least `bytes` at a multiple of `align`: one that fits, one joined of neighbours, or one that was grown.
pub fn take(bytes: usize, align: usize) -> Option<&'static Mapping> {
    if CACHED_BYTES.load(Relaxed) == 0 {
        return None;
    }
    if let Some(mapping) = take_fitting(bytes, align) {
        return Some(mapping);
    }
    // Where all that is cached is too short together, joined mappings must still be growable, so these must be of one origin.
    if join_neighbours(CACHED_BYTES.load(Relaxed) >= bytes)
        && let Some(mapping) = take_fitting(bytes, align)
    {
        return Some(mapping);
    }
    if align <= SLAB { grow_largest(bytes) } else { None }
}

fn take_fitting(bytes: usize, align: usize) -> Option<&'static Mapping> {
    let mapping = take_lowest(|mapping| {
        let have = mapping.bytes.load(Relaxed);
        (have >= bytes && mapping.base.load(Relaxed) & (align - 1) == 0).then_some(have)
    })?;
    split(mapping, bytes.next_multiple_of(SLAB));
    Some(mapping)
}

/// Cuts a mapping off at `bytes` and caches the rest, if the rest is large enough and the kernel did not refuse the latest unmapping.
fn split(mapping: &'static Mapping, bytes: usize) {
    let (base, have) = (mapping.base.load(Relaxed), mapping.bytes.load(Relaxed));
    if have < bytes + SLAB.max(bytes / 8) || LAST_UNMAP_REFUSED.load(Relaxed) || !page_map::cover(base + bytes, SLAB) {
        return;
    }
    let Some(rest) = new_descriptor() else { return };
    rest.base.store(base + bytes, Relaxed);
    rest.bytes.store(have - bytes, Relaxed);
    rest.huge.store(mapping.huge.load(Relaxed), Relaxed);
    rest.origin.store(mapping.origin.load(Relaxed), Relaxed);
    rest.age.store(mapping.age.load(Relaxed), Relaxed);
    // First the old descriptor gives up the rest, then the new one takes it: a child process forked in between finds it once at most.
    mapping.bytes.store(bytes, Release);
    rest.set_phase(Phase::Cached);
    page_map::set(base + bytes, 1, page_map::FREED);
    cache_or_unmap(rest);
}

/// Joins cached mappings that lie side by side: of any origin, or only of one. Returns whether it joined any.
fn join_neighbours(any_origin: bool) -> bool {
    let mut any = false;
    for slot in &SLOTS {
        let Some(mapping) = look_at(slot).and_then(|seen| take_out(slot, seen)) else { continue };
        let huge = mapping.huge.load(Relaxed);
        let end = || mapping.base.load(Relaxed) + mapping.bytes.load(Relaxed);
        let continues = |other: &Mapping| {
            let alike = any_origin || other.origin.load(Relaxed) == mapping.origin.load(Relaxed);
            (alike && other.base.load(Relaxed) == end() && other.huge.load(Relaxed) == huge).then_some(0)
        };
        while let Some(next) = take_lowest(continues) {
            page_map::set(next.base.load(Relaxed), 1, 0);
            // First the neighbour's descriptor gives up its bytes, then the other one takes them, as in `split`.
            next.set_phase(Phase::Spare);
            mapping.bytes.fetch_add(next.bytes.load(Relaxed), Release);
            if next.origin.load(Relaxed) != mapping.origin.load(Relaxed) {
                mapping.origin.store(MIXED, Relaxed);
            }
            SPARE_MAPPINGS.push(next);
            any = true;
        }
        cache_or_unmap(mapping);
    }
    any
}

/// Takes the largest cached mapping, of at least a quarter of `bytes`, and lets the kernel grow it.
fn grow_largest(bytes: usize) -> Option<&'static Mapping> {
    let mapping = take_lowest(|mapping| {
        let have = mapping.bytes.load(Relaxed);
        let can_grow = mapping.origin.load(Relaxed) != MIXED;
        (can_grow && have < bytes && have >= bytes / 4).then_some(usize::MAX - have)
    })?;
    if mapping.grow(bytes.next_multiple_of(SLAB), SLAB) {
        return Some(mapping);
    }
    // Its age stays as it was: otherwise repeated refusals would keep it cached without end.
    cache_or_unmap(mapping);
    None
}

/// Unmaps what is cached beyond the most that was live recently, when `bytes` more are to be mapped.
pub fn unmap_excess(bytes: usize) {
    let most = PEAK.load(Relaxed).max(live() + bytes);
    while CACHED_BYTES.load(Relaxed) != 0
        && LARGE_MAPPED_BYTES.load(Relaxed) + bytes > most + most / 8
        && let Some(mapping) = take_lowest(|mapping| Some(usize::MAX - mapping.age.load(Relaxed)))
        && unmap_or_cache(mapping) != 0
    {}
}
