//! Large blocks: each is a mapping of its own, which is cached for a while after it is freed, and which the kernel
//! grows and shrinks without a copy.
//!
//! # Safety
//! The mapping of a live block belongs to the thread that holds the block, a cached one to the thread that took it out
//! of the cache.

use crate::backend::huge_pages;
use crate::backend::large_cache::{self, Mapping};
use crate::base::accounting;
use crate::base::sizes::{MEDIUM_MAX, SEGMENT, SLAB};
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::vm;

/// Returns the bytes of the mapping for a request.
fn mapping_size(size: usize) -> usize {
    size.max(1).next_multiple_of(vm::PAGE)
}

/// Whether a block of `usable` bytes may be one for a request of `size`, at no particular alignment. Its mapping may be
/// longer than needed.
pub fn serves(usable: usize, size: usize) -> bool {
    size > MEDIUM_MAX && size <= usable
}

/// Allocates `size` bytes aligned to `align`, for which the address space has a place. `sparse` says that much of the
/// block may never be touched. Returns the address, and whether the block is zero; `None` when the system has no
/// memory.
pub fn allocate(size: usize, align: usize, sparse: bool) -> Option<(usize, bool)> {
    let bytes = mapping_size(size);
    let align = align.max(SLAB);
    let (mapping, zero) = match large_cache::take(bytes, align) {
        Some(mapping) => (mapping, sparse && purge_if_mostly_zero(mapping)),
        None => (map(bytes, align, sparse)?, true),
    };
    large_cache::note_live();
    Some((make_live(mapping), zero))
}

/// How many pages are examined to estimate how much of a block was written.
const SAMPLE: usize = 16;
/// How many of them may hold data. To bring in a page again takes five to twelve times as long as to write zeros over
/// it, so purging pages is cheaper where few of them are touched again.
const MOST_WRITTEN: usize = SAMPLE / 8;

/// Purges a cached mapping whose next holder, too, is likely to write few of its pages: the one before left most pages
/// zero. Returns whether the mapping is zero now. Where most pages were written, the caller clears the block faster by
/// writing zeros.
fn purge_if_mostly_zero(mapping: &Mapping) -> bool {
    let (base, bytes) = (mapping.base.load(Relaxed), mapping.bytes.load(Relaxed));
    let pages = bytes / vm::PAGE;
    let written = |nth: usize| {
        // Places without a period that a program could have as well: the fractional parts of the multiples of the
        // golden ratio.
        let fraction = (nth + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let page = base + ((fraction as u128 * pages as u128) >> 64) as usize * vm::PAGE;
        let words = (page..page + vm::PAGE).step_by(size_of::<usize>());
        // SAFETY: the page lies within the mapping, which this thread owns.
        words.map(|word| unsafe { (word as *const usize).read() }).any(|word| word != 0)
    };
    if (0..SAMPLE).filter(|nth| written(*nth)).nth(MOST_WRITTEN).is_some() {
        return false;
    }
    if mapping.huge.swap(false, Relaxed) {
        // Otherwise each page that is touched would bring in 2 MiB.
        // SAFETY: this thread owns the mapping.
        unsafe { huge_pages::advise(base, bytes, false) };
    }
    // SAFETY: as above, and the contents are not needed.
    unsafe { vm::purge(base, bytes) }
}

/// Makes a new mapping.
fn map(bytes: usize, align: usize, sparse: bool) -> Option<&'static Mapping> {
    if !large_cache::charge(bytes) {
        return None;
    }
    let mapping = map_accounted(bytes, align, sparse);
    if mapping.is_none() {
        accounting::uncharge(bytes);
    }
    mapping
}

fn map_accounted(bytes: usize, align: usize, sparse: bool) -> Option<&'static Mapping> {
    let mapping = large_cache::new_descriptor()?;
    let huge = !sparse && huge_pages::wanted_for_block(bytes) && huge_pages::are_cheap(bytes / SEGMENT);
    let align = if huge { align.max(SEGMENT) } else { align };
    let mut base = vm::map_aligned(bytes, align);
    if base == 0 && large_cache::unmap_for(bytes) {
        base = vm::map_aligned(bytes, align);
    }
    if base == 0 || !page_map::cover(base, SLAB) {
        if base != 0 {
            // SAFETY: mapped just now, and no other thread knows of it.
            unsafe { vm::unmap(base, bytes) };
        }
        large_cache::free_descriptor(mapping);
        return None;
    }
    // Only now, since a refused request changes nothing.
    large_cache::unmap_excess(bytes);
    large_cache::note_mapped(bytes);
    mapping.base.store(base, Relaxed);
    mapping.bytes.store(bytes, Relaxed);
    // SAFETY: mapped just now, and no other thread knows of it.
    mapping.huge.store(unsafe { huge_pages::advise(base, bytes, huge) }, Relaxed);
    Some(mapping)
}

/// Makes a mapping a live block and returns its address.
fn make_live(mapping: &'static Mapping) -> usize {
    let base = mapping.base.load(Relaxed);
    page_map::set(base, 1, core::ptr::from_ref(mapping) as usize + page_map::LARGE);
    mapping.set_live();
    base
}

/// Returns the descriptor that a page map entry names.
fn described(entry: usize) -> &'static Mapping {
    // SAFETY: the caller has read an entry with the LARGE tag; descriptors are never unmapped.
    unsafe { &*((entry - page_map::LARGE) as *const Mapping) }
}

/// Whether a page map entry says that a large block begins there.
pub fn is_large(entry: usize) -> bool {
    entry & 63 == page_map::LARGE && (entry as isize) > 0
}

/// Returns the usable bytes of the block that `entry` names, if it begins at `address`.
pub fn usable_size(entry: usize, address: usize) -> Option<usize> {
    let mapping = described(entry);
    (mapping.base.load(Relaxed) == address).then(|| mapping.bytes.load(Relaxed))
}

/// Frees the block that `entry` names. Returns its size, or `None` if no block begins at `address`.
pub fn free(entry: usize, address: usize) -> Option<usize> {
    let bytes = usable_size(entry, address)?;
    described(entry).set_free();
    page_map::set(address, 1, page_map::FREED);
    large_cache::put(described(entry));
    Some(bytes)
}

/// Resizes the block that `entry` names, which is aligned to `align`, without copying: in place where the kernel can,
/// else by moving its pages to another multiple of `align`. Returns its new address; `None` means that it stays as it
/// was.
pub fn resize(entry: usize, address: usize, size: usize, align: usize) -> Option<usize> {
    let mapping = described(entry);
    let old = usable_size(entry, address)?;
    let exact = mapping_size(size);
    if exact <= old {
        // A little slack costs less than a system call.
        let little = old - exact < usize::max(old / 8, SLAB);
        return (little || mapping.shrink(exact)).then_some(address);
    }
    // A block that grew once is likely to grow again: it gets an eighth more address space, which costs no memory until
    // it is touched.
    let generous = exact.max(old.saturating_add(old / 8)).next_multiple_of(SLAB);
    let grown = mapping.grow(generous, align) || mapping.grow(exact, align);
    large_cache::note_live();
    grown.then(|| make_live(mapping))
}
