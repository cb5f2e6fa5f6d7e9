//! Reallocation: a block stays, is resized where it stands, moves with its pages, or is copied.
//!
//! # Safety
//! The block is its caller's until it is freed here, which is the last thing that happens to it.

use super::alloc::{allocate, allocate_aligned, find, or_enomem, usable_of};
use super::counters;
use super::entry::is_small;
use super::free;
use super::layout::{BINS_BYTES, Big, Bin, Heap};
use super::lookup::usable_size_of;
use super::misuse;
use super::pressure;
use super::work::Work;
use crate::backend::large;
use crate::backend::medium;
use crate::base::guard;
use crate::base::sizes::{BLOCK_SIZE, CLASSES, MEDIUM_MAX, SLAB, class_of_aligned, has_place};
use crate::map::page_map;
use core::ptr;
use hakmem_os::slot;

/// Whether a small block of this thread may stay where it is when its size becomes `size`: it fits, and at least half of
/// the block is used.
#[inline(always)]
pub fn stays(block: *mut u8, size: usize) -> bool {
    let anchor = slot::heap();
    let distance = page_map::entry(block as usize) ^ anchor;
    if distance < BINS_BYTES.wrapping_neg() {
        return false;
    }
    // SAFETY: the page map says: a block of the class whose bin lies at that distance.
    let usable = unsafe { *BLOCK_SIZE.get_unchecked(distance.wrapping_add(BINS_BYTES) / size_of::<Bin>()) } as usize;
    fits_well(size, usable)
}

#[inline(always)]
fn fits_well(size: usize, usable: usize) -> bool {
    size <= usable && size >= usable / 2
}

/// Changes the size of a block of ours, moving it if need be; null when memory is out, and then the block is as it was, where
/// it was. `align`, a power of two, is what the block is aligned to and stays aligned to. A pointer that is not ours must not
/// come here.
///
/// # Safety
/// `block` is a live block, and the caller forgets it unless null comes back.
pub unsafe fn reallocate(block: *mut u8, size: usize, align: usize) -> *mut u8 {
    let entry = page_map::entry(block as usize);
    let Some(old) = usable_size_of(entry, block as usize) else { return ptr::null_mut() };
    // SAFETY: the caller's.
    unsafe { reallocate_known(block, entry, old, size, align) }
}

/// The same for a pointer that may be anything; `None` where it is no block of ours, or known to be free.
///
/// # Safety
/// If `block` is a live block, the caller forgets it unless null comes back.
pub unsafe fn reallocate_if_live(block: *mut u8, size: usize) -> Option<*mut u8> {
    let entry = page_map::entry(block as usize);
    let old = misuse::live_size(entry, block as usize)?;
    // SAFETY: the caller's.
    Some(unsafe { reallocate_known(block, entry, old, size, 1) })
}

unsafe fn reallocate_known(block: *mut u8, entry: usize, old: usize, size: usize, align: usize) -> *mut u8 {
    let address = block as usize;
    debug_assert!(address & (align - 1) == 0);
    if !has_place(size, align) {
        return or_enomem(None);
    }
    if let Some(now) = resize(entry, address, old, size, align) {
        return now as *mut u8;
    }
    let new = if size <= old {
        // A block that cannot shrink is still large enough: then nothing has failed, and `errno` stays.
        let Some((smaller, _)) = find(size, align, false) else {
            guard::note_failed_shrink();
            return block;
        };
        smaller as *mut u8
    } else if align <= 8 {
        allocate(size)
    } else {
        allocate_aligned(size, align)
    };
    if new.is_null() {
        return new;
    }
    // SAFETY: both blocks are at least that long, and different.
    unsafe {
        ptr::copy_nonoverlapping(block, new, old.min(size));
        free::free(block);
    }
    new
}

/// Resizes the block at `address`, of `old` usable bytes, without a copy, and returns where it is now. `None`, and nothing
/// changed, where that cannot be done, or where a block of another kind is what a request of that size gets.
fn resize(entry: usize, address: usize, old: usize, size: usize, align: usize) -> Option<usize> {
    if is_small(entry) {
        return fits_well(size, old).then_some(address);
    }
    let is_large = large::is_large(entry);
    let stays_so = if is_large {
        // A block that shrinks to just below the border is not worth a copy.
        size > MEDIUM_MAX / 2 || align > SLAB
    } else {
        size <= MEDIUM_MAX && class_of_aligned(size, align) == CLASSES
    };
    if !stays_so {
        return None;
    }
    let heap = Heap::for_slow_path();
    let work = Work::begin_without(heap.as_ref());
    let (kind, now) = if is_large {
        (Big::Large, large::resize(entry, address, size, align)?)
    } else {
        (Big::Medium, medium::resize(address, size)?)
    };
    counters::tally(heap.as_deref(), kind, |tally| {
        tally.add_bytes(usable_of(now));
        tally.sub_bytes(old);
    });
    drop((heap, work));
    pressure::answer_demand();
    Some(now)
}
