//! The page map: what every 64 KiB of address space is, out of band.
//!
//! One word per slab. It is read by every `free`, so its encoding is the fast path's:
//!
//! | entry | the slab holds |
//! |---|---|
//! | 0 | nothing of ours |
//! | `anchor ^ (16 * class - BINS_BYTES)` | blocks of one class, owned by the heap with that anchor |
//! | [`MEDIUM`] | the start of a medium block |
//! | [`FREED`] | memory of ours that is free |
//! | descriptor address + [`LARGE`] | the start of a large block |
//!
//! XOR with the reader's own anchor turns the second kind into a small negative number, the offset of the bin, and every
//! other kind into something else. Zero stays what it is for a thread without a heap: no class is at offset zero.
//!
//! The map is one flat reservation that the kernel fills as it is touched. Where address space is limited it has two levels
//! instead: `MASK` is then zero, every `free` reads entry 0 of a one-word map and so takes the cold path, which looks here.
//!
//! # Safety
//! The flat map covers every address that `MASK` lets through; leaves are never unmapped.

use crate::meta;
use crate::sizes::{SEGMENT, SLAB};
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use hakmem_os::{process, vm};

/// Entry of a medium block's first slab.
pub const MEDIUM: usize = 1;
/// Tag of a large block's first slab.
pub const LARGE: usize = 2;
/// Entry of a slab that is ours and free.
pub const FREED: usize = 3;

const ADDRESS_BITS: usize = 47;
const ENTRIES: usize = (1 << ADDRESS_BITS) / SLAB;
const SEGMENTS: usize = (1 << ADDRESS_BITS) / SEGMENT;
const FLAT_BYTES: usize = (ENTRIES + SEGMENTS) * size_of::<usize>();

/// A leaf of the two-level map: 4 GiB of address space.
#[repr(C)]
struct Leaf {
    entries: [AtomicUsize; LEAF / SLAB],
    segments: [AtomicUsize; LEAF / SEGMENT],
}
const LEAF: usize = 4 << 30;

static NOTHING: AtomicUsize = AtomicUsize::new(0);
static MAP: AtomicPtr<AtomicUsize> = AtomicPtr::new(&raw const NOTHING as *mut AtomicUsize);
static MASK: AtomicUsize = AtomicUsize::new(0);
static ROOT: [AtomicPtr<Leaf>; (1 << ADDRESS_BITS) / LEAF] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; (1 << ADDRESS_BITS) / LEAF];

/// Chooses the form of the map; once, before the first block exists.
pub fn start() {
    if process::address_space_limit() != usize::MAX {
        return;
    }
    let map = vm::map_table(FLAT_BYTES);
    if map != 0 {
        MAP.store(map as *mut AtomicUsize, Release);
        MASK.store((1 << ADDRESS_BITS) - 1, Release);
    }
}

/// Whether the flat map is in use.
pub fn is_flat() -> bool {
    MASK.load(Relaxed) != 0
}

/// The entry for `address`, or 0 where only the two-level map knows.
#[inline(always)]
pub fn entry(address: usize) -> usize {
    let index = (address & MASK.load(Acquire)) / SLAB;
    // SAFETY: MAP covers what MASK lets through, and MASK was stored after MAP.
    unsafe { (*MAP.load(Relaxed).add(index)).load(Relaxed) }
}

/// The entry for `address`, whichever form the map has.
#[inline]
pub fn entry_anywhere(address: usize) -> usize {
    if address >> ADDRESS_BITS != 0 { 0 } else { slot(address).map_or(0, |slot| slot.load(Acquire)) }
}

fn slot(address: usize) -> Option<&'static AtomicUsize> {
    if is_flat() {
        // SAFETY: the flat map covers every address below 2^47.
        return Some(unsafe { &*MAP.load(Relaxed).add(address / SLAB) });
    }
    leaf(address).map(|leaf| &leaf.entries[address % LEAF / SLAB])
}

fn leaf(address: usize) -> Option<&'static Leaf> {
    // SAFETY: null or a leaf that is never unmapped.
    unsafe { ROOT[address / LEAF].load(Acquire).as_ref() }
}

/// Makes sure that the map can describe `len` bytes at `at`; false when the system has no memory for it. Needed once for
/// each range mapped, before [`set`].
pub fn cover(at: usize, len: usize) -> bool {
    if (at + len) >> ADDRESS_BITS != 0 {
        return false;
    }
    is_flat() || (at / LEAF..=(at + len - 1) / LEAF).all(cover_leaf)
}

fn cover_leaf(index: usize) -> bool {
    if !ROOT[index].load(Acquire).is_null() {
        return true;
    }
    let leaf = vm::map_table(size_of::<Leaf>());
    if leaf == 0 {
        return false;
    }
    match ROOT[index].compare_exchange(core::ptr::null_mut(), leaf as *mut Leaf, AcqRel, Relaxed) {
        Ok(_) => meta::note_mapped(size_of::<Leaf>()),
        // SAFETY: mapped just now, known to nobody.
        Err(_) => drop(unsafe { vm::unmap(leaf, size_of::<Leaf>()) }),
    }
    true
}

/// Writes the entries of `slabs` slabs from `at`, which [`cover`] has prepared. Who finds an entry by [`entry_anywhere`] finds what
/// was written before it as well: the span that it stands for.
pub fn set(at: usize, slabs: usize, entry: usize) {
    for slab in 0..slabs {
        if let Some(slot) = slot(at + slab * SLAB) {
            slot.store(entry, Release);
        }
    }
}

/// What [`set_segment`] noted for the 2 MiB that `address` lies in; 0 if nothing.
#[inline]
pub fn segment_at(address: usize) -> usize {
    segment_slot(address).map_or(0, |slot| slot.load(Acquire))
}

/// Notes the descriptor of the segment at `base`, or 0.
pub fn set_segment(base: usize, descriptor: usize) {
    if let Some(slot) = segment_slot(base) {
        slot.store(descriptor, Release);
    }
}

#[inline]
fn segment_slot(address: usize) -> Option<&'static AtomicUsize> {
    if is_flat() {
        // SAFETY: the second table of the flat reservation, one word for each segment below 2^47.
        return Some(unsafe { &*MAP.load(Relaxed).add(ENTRIES + address / SEGMENT) });
    }
    leaf(address).map(|leaf| &leaf.segments[address % LEAF / SEGMENT])
}
