//! The page map: what every 64 KiB of address space is, out of band.
//!
//! One word per slab. It is read by every `free`, so its encoding is the fast path's:
//!
//! | entry | the slab holds |
//! |---|---|
//! | 0 | nothing of ours |
//! | `anchor ^ (16 * class - BINS_BYTES)` | blocks of one class, owned by the heap with that anchor |
//! | [`MEDIUM`] | the start of a medium block |
//! | [`CACHED`] | the start of a medium block that is free and on a shelf |
//! | [`FREED`] | memory of ours that is free, or inside a medium block |
//! | descriptor address + [`LARGE`] | the start of a large block |
//!
//! XOR with the reader's own anchor turns the second kind into a small negative number, the offset of the bin, and every
//! other kind into something else. Zero stays what it is for a thread without a heap: no class is at offset zero.
//!
//! The map has two levels. A word of the root stands for 4 GiB of address space and says where their leaf is, which is mapped
//! when the first of them is used. Like the word in a thread's slot it is a *distance*, here from an empty leaf, and zero at
//! first: so the fast path reads an empty entry where there is no leaf, without a test, and the root takes no memory before it
//! is written. Half a megabyte for a leaf is little where all that is mapped counts, or is locked; and with 32 bits of the
//! address for the root and 32 for the leaf, no mask is needed.
//!
//! # Safety
//! A word of the root leads to the empty leaf or to a mapped one. Leaves are never unmapped, and the empty one is never written.

use crate::base::sizes::{SEGMENT, SLAB};
use crate::map::metadata;
use core::hint;
use hakmem_os::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use hakmem_os::vm::ADDRESS_BITS;
use hakmem_os::{cpu, vm};

/// Entry of a medium block's first slab.
pub const MEDIUM: usize = 1;
/// Tag of a large block's first slab.
pub const LARGE: usize = 2;
/// Entry of a slab that is ours and free.
pub const FREED: usize = 3;
/// Entry of the first slab of a medium block that is free and on a shelf.
pub const CACHED: usize = 4;

/// Bits of an address that are the place within a leaf.
const LEAF_BITS: u32 = 32;
/// Bytes of address space that a leaf describes.
const LEAF: usize = 1 << LEAF_BITS;
const LEAVES: usize = 1 << (ADDRESS_BITS - LEAF_BITS);

/// What there is in [`LEAF`] bytes of address space.
#[repr(C)]
struct Leaf {
    entries: [AtomicUsize; LEAF / SLAB],
    /// One word for each segment.
    segments: [AtomicUsize; LEAF / SEGMENT],
}

/// Both in one place, so that the fast path needs one address for both. All of it is zero at first, and no memory before it is
/// written: reading what was never written takes none.
#[repr(C)]
struct Map {
    empty: Leaf,
    /// How far each leaf is from the empty one.
    root: [AtomicUsize; LEAVES],
}

static MAP: Map = Map {
    root: [const { AtomicUsize::new(0) }; LEAVES],
    empty: Leaf {
        entries: [const { AtomicUsize::new(0) }; LEAF / SLAB],
        segments: [const { AtomicUsize::new(0) }; LEAF / SEGMENT],
    },
};

/// The leaf for `address`: the empty one where nothing of ours is, and for what is no address of a program.
#[inline(always)]
fn leaf(address: usize) -> &'static Leaf {
    let Some(distance) = MAP.root.get(cpu::shift_right::<LEAF_BITS>(address)) else {
        hint::cold_path();
        return &MAP.empty;
    };
    let leaf = (&raw const MAP.empty).wrapping_byte_add(distance.load(Acquire));
    // SAFETY: the empty leaf, or one that is mapped for ever.
    unsafe { &*leaf }
}

/// The entry for `address`.
#[inline(always)]
pub fn entry(address: usize) -> usize {
    leaf(address).entries[address % LEAF / SLAB].load(Acquire)
}

/// Makes sure that the map can describe `len` bytes at `at`; false when the system has no memory for it. Needed once for
/// each range mapped, before [`set`].
pub fn cover(at: usize, len: usize) -> bool {
    (at / LEAF..=(at + len - 1) / LEAF).all(cover_leaf)
}

fn cover_leaf(index: usize) -> bool {
    let Some(distance) = MAP.root.get(index) else { return false };
    if distance.load(Relaxed) != 0 {
        return true;
    }
    let leaf = vm::map_table(size_of::<Leaf>());
    if leaf == 0 {
        return false;
    }
    let far = leaf.wrapping_sub(&raw const MAP.empty as usize);
    // Releases the zeros of the leaf to whoever reads the word.
    match distance.compare_exchange(0, far, Release, Relaxed) {
        Ok(_) => metadata::note_mapped(size_of::<Leaf>()),
        // SAFETY: mapped just now, known to nobody.
        Err(_) => drop(unsafe { vm::unmap(leaf, size_of::<Leaf>()) }),
    }
    true
}

/// The leaf for `address`, which [`cover`] has prepared.
fn covered(address: usize) -> &'static Leaf {
    let leaf = leaf(address);
    debug_assert!(!core::ptr::eq(leaf, &MAP.empty), "the empty leaf is never written");
    leaf
}

/// Writes the entries of `slabs` slabs from `at`, which [`cover`] has prepared. Who finds an entry finds what was written before it as
/// well: the span that it stands for.
pub fn set(at: usize, slabs: usize, entry: usize) {
    for address in (at..at + slabs * SLAB).step_by(SLAB) {
        covered(address).entries[address % LEAF / SLAB].store(entry, Release);
    }
}

/// What [`set_segment`] noted for the segment that `address` lies in; 0 if nothing.
#[inline]
pub fn segment_at(address: usize) -> usize {
    leaf(address).segments[address % LEAF / SEGMENT].load(Acquire)
}

/// Notes the descriptor of the segment at `base`, which [`cover`] has prepared, or 0.
pub fn set_segment(base: usize, descriptor: usize) {
    covered(base).segments[base % LEAF / SEGMENT].store(descriptor, Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_covered_is_empty_and_so_is_what_no_program_can_have() {
        for address in [0, 8, LEAF - 1, LEAF, (1 << ADDRESS_BITS) - 1, 1 << ADDRESS_BITS, 1 << 63, usize::MAX] {
            assert_eq!((entry(address), segment_at(address)), (0, 0), "{address:#x}");
        }
        for address in [1 << ADDRESS_BITS, 1 << 63, usize::MAX - SLAB] {
            assert!(!cover(address, SLAB), "{address:#x}");
        }
        assert!(!cover((1 << ADDRESS_BITS) - SLAB, 2 * SLAB), "half of it lies above");
    }

    #[test]
    fn entries_of_a_range_lie_in_all_its_leaves_and_nowhere_else() {
        // Nothing is mapped there, and nobody else looks: the map knows addresses, not memory.
        let border = 5 * LEAF;
        let (at, slabs) = (border - SEGMENT, 2 * SEGMENT / SLAB);
        assert!(cover(at, slabs * SLAB) && cover(at, slabs * SLAB), "again is no harm");
        set(at, slabs, FREED);
        set_segment(at, 64);
        set_segment(border, 128);
        let around = [at - 1, at, border - 1, border, border + SEGMENT - 1, border + SEGMENT];
        assert_eq!(around.map(entry), [0, FREED, FREED, FREED, FREED, 0]);
        assert_eq!(around.map(segment_at), [0, 64, 64, 128, 128, 0]);
        // The same place in leaves that nobody covered, and the same address with bits that no address has.
        for bit in [LEAF_BITS + 4, ADDRESS_BITS - 1, ADDRESS_BITS, 48, 63] {
            assert_eq!((entry(at | 1 << bit), segment_at(at | 1 << bit)), (0, 0), "bit {bit}");
        }
        set(at, slabs, 0);
        set_segment(at, 0);
        set_segment(border, 0);
        assert_eq!(around.map(entry), [0; 6]);
        assert_eq!(around.map(segment_at), [0; 6]);
    }
}
