//! Large blocks: whole mappings, kept for a while after they are freed, grown and shrunk by the kernel without a copy.
//!
//! # Safety
//! The mapping of a block is its holder's; a kept one is whose who took it.

use crate::backend::huge_pages;
use crate::backend::large_cache::{self, Mapping};
use crate::base::accounting;
use crate::base::sizes::{MEDIUM_MAX, SEGMENT, SLAB};
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::vm;

/// Bytes of the mapping for a request.
fn mapping_size(size: usize) -> usize {
    size.max(1).next_multiple_of(vm::PAGE)
}

/// Whether a block of `usable` bytes may be one for a request of `size`, at no particular alignment: its mapping may be longer.
pub fn serves(usable: usize, size: usize) -> bool {
    size > MEDIUM_MAX && size <= usable
}

/// Allocates `size` bytes aligned to `align`, for which the address space has a place; the flag says whether they are zero.
/// `sparse` is a block of which much may never be touched. `None` when the system has no memory.
pub fn allocate(size: usize, align: usize, sparse: bool) -> Option<(usize, bool)> {
    let bytes = mapping_size(size);
    let align = align.max(SLAB);
    let (mapping, zero) = match large_cache::take(bytes, align) {
        Some(mapping) => (mapping, sparse && wipe(mapping)),
        None => (map(bytes, align, sparse)?, true),
    };
    large_cache::note_live();
    Some((claim(mapping), zero))
}

/// Pages that are looked at to guess how much of a block was written.
const SAMPLE: usize = 16;
/// How many of them may hold something. To bring a page in anew takes five to twelve times as long as to write zeros over it, so giving
/// pages back is cheaper for what is not all touched again.
const FEW: usize = SAMPLE / 8;

/// Gives the pages of a kept mapping back where its next holder, too, is likely to write few of them; whether it is zero now. Whoever
/// had it last left most of it zero then. A block that is written all over is faster cleared where it is.
fn wipe(mapping: &Mapping) -> bool {
    let (base, bytes) = (mapping.base.load(Relaxed), mapping.bytes.load(Relaxed));
    let pages = bytes / vm::PAGE;
    let written = |nth: usize| {
        // Places with no period that a program could have as well: the multiples of the golden ratio, without their whole parts.
        let fraction = (nth + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let page = base + ((fraction as u128 * pages as u128) >> 64) as usize * vm::PAGE;
        let words = (page..page + vm::PAGE).step_by(size_of::<usize>());
        // SAFETY: within the mapping, which is this thread's.
        words.map(|word| unsafe { (word as *const usize).read() }).any(|word| word != 0)
    };
    if (0..SAMPLE).filter(|nth| written(*nth)).nth(FEW).is_some() {
        return false;
    }
    if mapping.huge.swap(false, Relaxed) {
        // Else each page that is touched would bring in 2 MiB.
        // SAFETY: the mapping is this thread's.
        unsafe { huge_pages::advise(base, bytes, false) };
    }
    // SAFETY: as above, and nobody needs its contents.
    unsafe { vm::purge(base, bytes) }
}

/// Maps a new one.
fn map(bytes: usize, align: usize, sparse: bool) -> Option<&'static Mapping> {
    if !large_cache::take_bytes(bytes) {
        return None;
    }
    let mapping = map_taken(bytes, align, sparse);
    if mapping.is_none() {
        accounting::uncharge(bytes);
    }
    mapping
}

fn map_taken(bytes: usize, align: usize, sparse: bool) -> Option<&'static Mapping> {
    let mapping = large_cache::describe()?;
    let huge = !sparse && huge_pages::wanted_for_block(bytes) && huge_pages::are_cheap(bytes / SEGMENT);
    let align = if huge { align.max(SEGMENT) } else { align };
    let mut base = vm::map_aligned(bytes, align);
    if base == 0 && large_cache::unmap_for(bytes) {
        base = vm::map_aligned(bytes, align);
    }
    if base == 0 || !page_map::cover(base, SLAB) {
        if base != 0 {
            // SAFETY: mapped just now, known to nobody.
            unsafe { vm::unmap(base, bytes) };
        }
        large_cache::forget(mapping);
        return None;
    }
    // Only now, since what is refused changes nothing.
    large_cache::unmap_excess(bytes);
    large_cache::note_mapped(bytes);
    mapping.base.store(base, Relaxed);
    mapping.bytes.store(bytes, Relaxed);
    // SAFETY: mapped just now, known to nobody.
    mapping.huge.store(unsafe { huge_pages::advise(base, bytes, huge) }, Relaxed);
    Some(mapping)
}

/// Makes a descriptor a live block.
fn claim(mapping: &'static Mapping) -> usize {
    let base = mapping.base.load(Relaxed);
    page_map::set(base, 1, core::ptr::from_ref(mapping) as usize + page_map::LARGE);
    mapping.set_live();
    base
}

/// The descriptor that a page map entry names.
fn described(entry: usize) -> &'static Mapping {
    // SAFETY: the caller read an entry with the LARGE tag; descriptors live for ever.
    unsafe { &*((entry - page_map::LARGE) as *const Mapping) }
}

/// Whether a page map entry says that a large block begins there.
pub fn is_large(entry: usize) -> bool {
    entry & 63 == page_map::LARGE && (entry as isize) > 0
}

/// Usable bytes of the block behind `entry`, if it begins at `address`.
pub fn usable_size(entry: usize, address: usize) -> Option<usize> {
    let mapping = described(entry);
    (mapping.base.load(Relaxed) == address).then(|| mapping.bytes.load(Relaxed))
}

/// Frees the block behind `entry` at `address`; its size, or `None` if no block begins there.
pub fn free(entry: usize, address: usize) -> Option<usize> {
    let bytes = usable_size(entry, address)?;
    described(entry).set_free();
    page_map::set(address, 1, page_map::FREED);
    large_cache::put(described(entry));
    Some(bytes)
}

/// Resizes the block behind `entry`, which is aligned to `align`, without copying: in place where the kernel can, else by
/// moving its pages to another multiple of it. Returns where it is now; `None` leaves it as it was.
pub fn resize(entry: usize, address: usize, size: usize, align: usize) -> Option<usize> {
    let mapping = described(entry);
    let old = usable_size(entry, address)?;
    let exact = mapping_size(size);
    if exact <= old {
        // A little slack is cheaper than a kernel call.
        let little = old - exact < usize::max(old / 8, SLAB);
        return (little || mapping.shrink(exact)).then_some(address);
    }
    // What grows once grows again: an eighth more address space, which costs no memory until it is touched.
    let generous = exact.max(old.saturating_add(old / 8)).next_multiple_of(SLAB);
    let grown = mapping.grow(generous, align) || mapping.grow(exact, align);
    large_cache::note_live();
    grown.then(|| claim(mapping))
}
