//! The page map: one word for each slab of address space, which says what the slab holds.
//!
//! Every `free` reads it, so the encoding of its entries serves the fast path:
//!
//! | entry | the slab holds |
//! |---|---|
//! | 0 | nothing of ours |
//! | `anchor ^ (16 * class - BINS_BYTES)` | blocks of one class, owned by the heap with that anchor |
//! | [`MEDIUM`] | the start of a medium block |
//! | [`CACHED`] | the start of a free medium block in a medium cache |
//! | [`FREED`] | memory of ours that is free, or the rest of a medium block |
//! | descriptor address + [`LARGE`] | the start of a large block |
//!
//! The reader XORs the entry with the anchor of its own heap. For blocks of that heap the result is the distance from
//! the anchor to the bin, a small negative number. For every other entry it is something else. For a thread without a
//! heap the XOR leaves an entry of zero as it is, and no bin is at distance zero.
//!
//! The map has two levels. A word of the root stands for 4 GiB of address space and leads to their leaf, which is
//! mapped when the first of these addresses is used. The word is a *distance*, like the first word of a thread's slot:
//! here the distance from the empty leaf, which is zero at first. So the fast path needs no test: where there is no
//! leaf, it reads an empty entry. And the root takes no memory before it is written. A leaf takes half a megabyte,
//! which is little even where all that is mapped counts or is locked. Since the lower 32 bits of an address select
//! within the leaf and the upper bits select the leaf, the fast path needs no mask.
//!
//! # Safety
//! A word of the root leads to the empty leaf or to a mapped leaf. Leaves are never unmapped. The empty leaf is never
//! written.

use crate::base::sizes::{SEGMENT, SLAB};
use crate::map::metadata;
use core::hint;
use hakmem_os::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use hakmem_os::vm::ADDRESS_BITS;
use hakmem_os::{cpu, vm};

/// The entry of the first slab of a medium block in use.
pub const MEDIUM: usize = 1;
/// The tag in the entry of the first slab of a large block, added to the address of its descriptor.
pub const LARGE: usize = 2;
/// The entry of a free slab of ours, and of the slabs of a medium block after the first.
pub const FREED: usize = 3;
/// The entry of the first slab of a free medium block in a medium cache.
pub const CACHED: usize = 4;

/// The number of address bits that select within a leaf.
const LEAF_BITS: u32 = 32;
/// The bytes of address space that a leaf describes.
const LEAF: usize = 1 << LEAF_BITS;
/// The number of leaves that the address space can have.
const LEAVES: usize = 1 << (ADDRESS_BITS - LEAF_BITS);

/// Describes [`LEAF`] bytes of address space.
#[repr(C)]
struct Leaf {
    /// One entry for each slab.
    entries: [AtomicUsize; LEAF / SLAB],
    /// One word for each segment: the address of its descriptor, or 0.
    segments: [AtomicUsize; LEAF / SEGMENT],
}

/// The root and the empty leaf, in one struct so that the fast path needs one address for both. All of it is zero at
/// first. It takes memory only where it is written; reading the rest takes none.
#[repr(C)]
struct Map {
    empty: Leaf,
    /// The distance of each leaf from the empty leaf.
    root: [AtomicUsize; LEAVES],
}

static MAP: Map = Map {
    root: [const { AtomicUsize::new(0) }; LEAVES],
    empty: Leaf {
        entries: [const { AtomicUsize::new(0) }; LEAF / SLAB],
        segments: [const { AtomicUsize::new(0) }; LEAF / SEGMENT],
    },
};

/// The leaf for `address`. It is the empty leaf if nothing near the address is ours, or no program can have the
/// address.
#[inline(always)]
fn leaf(address: usize) -> &'static Leaf {
    let Some(distance) = MAP.root.get(cpu::shift_right::<LEAF_BITS>(address)) else {
        hint::cold_path();
        return &MAP.empty;
    };
    // Acquire pairs with Release in `cover_leaf`: the leaf is seen as zero or as written later.
    let leaf = (&raw const MAP.empty).wrapping_byte_add(distance.load(Acquire));
    // SAFETY: the distance leads to the empty leaf or to a mapped leaf, which is never unmapped.
    unsafe { &*leaf }
}

/// The entry for `address`.
#[inline(always)]
pub fn entry(address: usize) -> usize {
    // Acquire pairs with Release in `set`: the reader of an entry also sees the span or descriptor behind it.
    leaf(address).entries[address % LEAF / SLAB].load(Acquire)
}

/// Maps the leaves for the `len` bytes at `at`, if they are not mapped yet. Returns false if there is no memory for
/// them, or no program can have the addresses. It must be called for each mapped range before [`set`].
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
    // Release pairs with Acquire in `leaf`: a thread that reads the word sees the zeros of the leaf.
    match distance.compare_exchange(0, far, Release, Relaxed) {
        Ok(_) => metadata::note_mapped(size_of::<Leaf>()),
        // SAFETY: this call mapped the leaf, and no other thread knows it.
        Err(_) => drop(unsafe { vm::unmap(leaf, size_of::<Leaf>()) }),
    }
    true
}

/// The leaf for `address`, for which [`cover`] must have mapped one.
fn covered(address: usize) -> &'static Leaf {
    let leaf = leaf(address);
    debug_assert!(!core::ptr::eq(leaf, &MAP.empty), "the empty leaf is never written");
    leaf
}

/// Writes the entries of `slabs` slabs from `at`, for which [`cover`] must have mapped the leaves. A thread that reads
/// one of these entries also sees what the caller wrote before: the span or descriptor that the entry stands for.
pub fn set(at: usize, slabs: usize, entry: usize) {
    for address in (at..at + slabs * SLAB).step_by(SLAB) {
        covered(address).entries[address % LEAF / SLAB].store(entry, Release);
    }
}

/// The address of the descriptor of the segment that contains `address`; 0 if there is none.
#[inline]
pub fn segment_at(address: usize) -> usize {
    leaf(address).segments[address % LEAF / SEGMENT].load(Acquire)
}

/// Stores the address of the descriptor of the segment at `base`, or 0. [`cover`] must have mapped the leaf.
pub fn set_segment(base: usize, descriptor: usize) {
    covered(base).segments[base % LEAF / SEGMENT].store(descriptor, Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_empty_where_no_leaf_is_mapped_and_where_no_address_can_be() {
        for address in [0, 8, LEAF - 1, LEAF, (1 << ADDRESS_BITS) - 1, 1 << ADDRESS_BITS, 1 << 63, usize::MAX] {
            assert_eq!((entry(address), segment_at(address)), (0, 0), "{address:#x}");
        }
        for address in [1 << ADDRESS_BITS, 1 << 63, usize::MAX - SLAB] {
            assert!(!cover(address, SLAB), "{address:#x}");
        }
        assert!(!cover((1 << ADDRESS_BITS) - SLAB, 2 * SLAB), "half of the range lies above");
    }

    #[test]
    fn the_entries_of_a_range_are_set_in_each_of_its_leaves_and_nowhere_else() {
        // No memory is mapped at these addresses, and no other test uses them. The map needs only the addresses.
        let border = 5 * LEAF;
        let (at, slabs) = (border - SEGMENT, 2 * SEGMENT / SLAB);
        assert!(cover(at, slabs * SLAB) && cover(at, slabs * SLAB), "covering twice changes nothing");
        set(at, slabs, FREED);
        set_segment(at, 64);
        set_segment(border, 128);
        let around = [at - 1, at, border - 1, border, border + SEGMENT - 1, border + SEGMENT];
        assert_eq!(around.map(entry), [0, FREED, FREED, FREED, FREED, 0]);
        assert_eq!(around.map(segment_at), [0, 64, 64, 128, 128, 0]);
        // The same place in leaves that are not mapped, and the same address with bits that no address has.
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
