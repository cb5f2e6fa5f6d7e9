//! Reallocation: a block stays as it is, is resized in place, moves with its pages, or is copied.
//!
//! # Safety
//! The block belongs to the caller until it is freed here, after its last use.

use super::alloc::{allocate, allocate_aligned, find, or_enomem, usable_of};
use super::counters;
use super::entry::is_small;
use super::free;
use super::layout::{BINS_BYTES, Big, Bin, Heap};
use super::lookup::usable_size_of;
use super::misuse;
use super::slow_path_end;
use super::slow_path_mark::SlowPathMark;
use crate::backend::large;
use crate::backend::medium;
use crate::base::guard;
use crate::base::sizes::{BLOCK_SIZE, CLASSES, MEDIUM_MAX, SLAB, class_of_aligned, has_place};
use crate::map::page_map;
use core::ptr;
use hakmem_os::slot;

/// Whether a small block of this thread's heap may stay in place when its size becomes `size`: the size fits, and uses
/// at least half of the block. False for any other block.
#[inline(always)]
pub fn stays(block: *mut u8, size: usize) -> bool {
    let anchor = slot::heap();
    let distance = page_map::entry(block as usize) ^ anchor;
    if distance < BINS_BYTES.wrapping_neg() {
        return false;
    }
    // SAFETY: the page map says that this is a block of the class whose bin lies at that distance.
    let usable = unsafe { *BLOCK_SIZE.get_unchecked(distance.wrapping_add(BINS_BYTES) / size_of::<Bin>()) } as usize;
    fits_well(size, usable)
}

#[inline(always)]
fn fits_well(size: usize, usable: usize) -> bool {
    size <= usable && size >= usable / 2
}

/// Changes the size of a block of this allocator, and moves it if necessary. Returns null when memory is out; the block
/// is then unchanged. `align`, a power of two, is the alignment that the block has and keeps.
///
/// # Safety
/// `block` is a live block of this allocator, and the caller does not use it again unless null is returned.
pub unsafe fn reallocate(block: *mut u8, size: usize, align: usize) -> *mut u8 {
    let entry = page_map::entry(block as usize);
    let Some(old) = usable_size_of(entry, block as usize) else { return ptr::null_mut() };
    // SAFETY: guaranteed by the caller.
    unsafe { reallocate_known(block, entry, old, size, align) }
}

/// Like [`reallocate`], for any pointer. Returns `None` if it is no block of this allocator, or is known to be free.
///
/// # Safety
/// If `block` is a live block, the caller does not use it again unless null is returned.
pub unsafe fn reallocate_if_live(block: *mut u8, size: usize) -> Option<*mut u8> {
    let entry = page_map::entry(block as usize);
    let old = misuse::live_size(entry, block as usize)?;
    // SAFETY: guaranteed by the caller.
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
        // A block that cannot shrink is still large enough. So nothing has failed, and `errno` is unchanged.
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
    // SAFETY: the blocks are different, and both have at least that many bytes.
    unsafe {
        ptr::copy_nonoverlapping(block, new, old.min(size));
        free::free(block);
    }
    new
}

/// Resizes the block at `address`, of `old` usable bytes, without a copy. Returns its new address. Returns `None` and
/// changes nothing if that is not possible, or if a request of the new size gets a block of another kind.
fn resize(entry: usize, address: usize, old: usize, size: usize, align: usize) -> Option<usize> {
    if is_small(entry) {
        return fits_well(size, old).then_some(address);
    }
    let is_large = large::is_large(entry);
    let stays_so = if is_large {
        // A large block that shrinks to a size just below the border stays large, which saves the copy.
        size > MEDIUM_MAX / 2 || align > SLAB
    } else {
        size <= MEDIUM_MAX && class_of_aligned(size, align) == CLASSES
    };
    if !stays_so {
        return None;
    }
    let heap = Heap::for_slow_path();
    let work = SlowPathMark::set_without(heap.as_ref());
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
    slow_path_end::answer_demand();
    Some(now)
}
