//! Freeing: the fast path, and the slow paths for other heaps' blocks, medium and large blocks, and foreign pointers.
//!
//! # Safety
//! A pointer from the program counts as a block only if the page map says so; nothing is written to it before.

use super::counters;
use super::entry::{anchor_in, bin_distance, class_at, class_in, is_small};
use super::layout::{BINS_BYTES, Big, Bin, Heap};
use super::lookup::usable_size_of;
use super::misuse::{self, is_free, report_misuse};
use super::refill;
use super::slow_path_end;
use super::slow_path_mark::SlowPathMark;
use crate::backend::large;
use crate::backend::medium;
use crate::backend::span::set_next;
use crate::base::foreign;
use crate::base::guard::{self, Place, Wrong};
use crate::base::sizes::{BLOCK_SIZE, CLASSES};
use crate::map::page_map;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::slot;

/// Frees a block. Null is ignored. A block of libc's allocator is passed on to it; any other pointer is reported and
/// left alone.
///
/// A small block of this thread costs 23 instructions, two of which notice a block freed twice in a row.
///
/// # Safety
/// `block` is null or a live block, and the caller does not use it again. (Misuse is reported where it is noticed, but
/// not all of it is.)
#[inline(always)]
pub unsafe fn free(block: *mut u8) {
    let anchor = slot::heap();
    let distance = page_map::entry(block as usize) ^ anchor;
    if distance >= BINS_BYTES.wrapping_neg() {
        // SAFETY: the page map says that this is a block of the class whose bin lies there.
        unsafe { push(anchor, distance, block) }
    } else {
        // SAFETY: guaranteed by the caller.
        unsafe { free_cold(block, anchor, distance) }
    }
}

/// The range of sizes that one class serves.
#[repr(C)]
struct Sizes {
    least: usize,
    /// The largest size minus the least.
    more: usize,
}

/// The sizes of each class. An entry is as large as a bin, so a bin's distance from the anchor is also the distance of
/// its class's entry from the end of this table. The class of 16 bytes also serves smaller sizes that C++ asks for.
static SIZES_OF_CLASS: [Sizes; CLASSES] = {
    let mut sizes = [const { Sizes { least: 0, more: 0 } }; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let least = if class < 2 { 0 } else { BLOCK_SIZE[class - 1] as usize + 1 };
        sizes[class] = Sizes { least, more: BLOCK_SIZE[class] as usize - least };
        class += 1;
    }
    sizes
};
const _: () = assert!(size_of::<Sizes>() == size_of::<Bin>());

/// Whether the class whose bin lies at `distance` serves `size`.
#[inline(always)]
fn serves(distance: usize, size: usize) -> bool {
    let sizes = SIZES_OF_CLASS.as_ptr_range().end.wrapping_byte_add(distance);
    // SAFETY: the callers pass the distance of a bin, so the entry is in the table.
    let sizes = unsafe { &*sizes };
    size.wrapping_sub(sizes.least) <= sizes.more
}

/// Like [`free`], for a caller that passes the size that it requested for the block, as C++ does. A wrong size is
/// reported.
///
/// The check costs four instructions.
///
/// # Safety
/// As for [`free`].
#[inline(always)]
pub unsafe fn free_with_size(block: *mut u8, size: usize) {
    let anchor = slot::heap();
    let distance = page_map::entry(block as usize) ^ anchor;
    if distance >= BINS_BYTES.wrapping_neg() && serves(distance, size) {
        // SAFETY: as in `free`.
        unsafe { push(anchor, distance, block) }
    } else {
        // SAFETY: guaranteed by the caller.
        unsafe { free_with_size_cold(block, size, anchor, distance) }
    }
}

#[inline(never)]
unsafe extern "C" fn free_with_size_cold(block: *mut u8, size: usize, anchor: usize, distance: usize) {
    let (address, entry) = (block as usize, distance ^ anchor);
    let is_right = if is_small(entry) {
        serves(bin_distance(class_in(entry)), size)
    } else if entry == page_map::MEDIUM {
        medium::usable_size(address).is_none_or(|usable| medium::serves(usable, size))
    } else if large::is_large(entry) {
        large::usable_size(entry, address).is_none_or(|usable| large::serves(usable, size))
    } else {
        true
    };
    // SAFETY: guaranteed by the caller.
    unsafe { if is_right { free_cold(block, anchor, distance) } else { free_wrong_size(block, size) } }
}

/// Pushes a block onto this thread's bin at `distance` from its anchor.
#[inline(always)]
unsafe fn push(anchor: usize, distance: usize, block: *mut u8) {
    // SAFETY: the caller found a bin of this thread at that distance.
    let bin = unsafe { Bin::at(anchor, distance) };
    let head = bin.head.load(Relaxed);
    if head == block as usize {
        return misuse::freed_twice_in_a_row(block);
    }
    // SAFETY: this is a block of this heap, and its user has freed it.
    unsafe { set_next(block as usize, head) };
    bin.head.store(block as usize, Relaxed);
    // SAFETY: the word is a field of this bin.
    if unsafe { slot::count_down::<{ offset_of!(Bin, frees_left) }>(anchor, distance) } {
        frees_used_up(anchor, distance);
    }
}

#[inline(never)]
extern "C" fn frees_used_up(anchor: usize, distance: usize) {
    let (heap, class) = (Heap::at_anchor(anchor), class_at(distance));
    match heap.begin_slow_path() {
        Some(heap) => heap.settle_and_make_room(class),
        // A signal handler that interrupted a slow path lets the bin grow; a later slow path settles it.
        None => heap.grant_more(class),
    }
}

/// Frees a block that the fast path cannot free. The anchor and the distance that the fast path read are passed in
/// registers: to read them again would take longer than many of these frees.
#[inline(never)]
unsafe extern "C" fn free_cold(block: *mut u8, anchor: usize, distance: usize) {
    let (address, entry) = (block as usize, distance ^ anchor);
    if address == 0 {
        return;
    }
    let heap = Heap::for_free();
    let _mark = SlowPathMark::set_without(heap.as_ref());
    if is_small(entry) {
        // The scavenger may clear the slot at any time, so the anchor is taken from the heap.
        let anchor = heap.as_ref().map_or_else(slot::heap, |heap| heap.anchor());
        if anchor != 0 && anchor_in(entry) == anchor {
            // The slot was cleared, so the fast path did not recognize this thread's own block.
            drop(heap);
            // SAFETY: the page map says that this is a block of this class and this heap.
            unsafe { push(anchor, bin_distance(class_in(entry)), block) }
        } else {
            // SAFETY: the block belongs to the heap that the entry names.
            unsafe { Heap::free_remote(heap.as_deref(), entry, address) }
        }
        return;
    }
    let freed = if entry == page_map::MEDIUM {
        free_medium(heap.as_deref(), address).map(|bytes| (Big::Medium, bytes))
    } else if large::is_large(entry) {
        large::free(entry, address).map(|bytes| (Big::Large, bytes))
    } else {
        None
    };
    match freed {
        Some((kind, bytes)) => {
            counters::tally(heap.as_deref(), kind, |tally| {
                tally.frees.add(1);
                tally.sub_bytes(bytes);
            });
            if let Some(heap) = heap {
                heap.tick(refill::TICKS_FOR_BIG);
            }
            slow_path_end::answer_quiet_demand();
        }
        None => {
            if let Some(heap) = heap {
                heap.misses.add(1);
            }
            if entry != 0 || !foreign::free(block) {
                misuse::report_misuse("free", block);
            }
        }
    }
}

/// Frees the medium block at `address`, into the medium cache if this thread has a heap. Returns the block's size;
/// `None` if no medium block begins there.
fn free_medium(heap: Option<&Heap>, address: usize) -> Option<usize> {
    if let Some(heap) = heap {
        return heap.free_medium(address);
    }
    let span = medium::at(address)?;
    let bytes = span.bytes();
    medium::release(span);
    Some(bytes)
}

/// Frees a block for `function`, whose caller passed its size and its alignment; 0 means not passed. A wrong size or
/// alignment is reported, and the block is freed nevertheless.
///
/// # Safety
/// As for [`free`].
pub unsafe fn free_sized(function: &str, block: *mut u8, size: usize, align: usize) {
    let (address, entry) = (block as usize, page_map::entry(block as usize));
    if entry != 0 {
        let Some(place) = place_if_live(entry, address) else { return report_misuse(function, block) };
        // `realloc` does not move a small block while half of it is used; an aligned block may be much longer than
        // requested.
        let little = align == 0 && size < place.bytes() / 2 && place.bytes() > 16;
        let little = little && is_small(entry) && !guard::shrink_has_failed();
        if size > place.bytes() || size != 0 && little {
            guard::report(function, address, Wrong::Size(place, size));
        }
        if align.is_power_of_two() && !address.is_multiple_of(align) {
            guard::report(function, address, Wrong::Alignment(place, align));
        }
    }
    // SAFETY: guaranteed by the caller.
    unsafe { free(block) }
}

/// Frees a block for `operator delete`, which was called with a wrong size. The size is reported, and the block is
/// freed nevertheless.
///
/// # Safety
/// As for [`free`]; the page map entry of the block is that of a block of this allocator.
#[cold]
#[inline(never)]
unsafe fn free_wrong_size(block: *mut u8, size: usize) {
    let function = "operator delete";
    match place_if_live(page_map::entry(block as usize), block as usize) {
        Some(place) => {
            guard::report(function, block as usize, Wrong::Size(place, size));
            // SAFETY: guaranteed by the caller.
            unsafe { free(block) }
        }
        None => report_misuse(function, block),
    }
}

/// Returns the kind and size of the block at `address`, whose page map entry is `entry`; `None` if no block of this
/// allocator begins there, or it is known to be free.
fn place_if_live(entry: usize, address: usize) -> Option<Place> {
    let usable = usable_size_of(entry, address).filter(|_| !is_free(address))?;
    Some(if is_small(entry) {
        Place::Small(usable)
    } else if large::is_large(entry) {
        Place::Large(usable)
    } else {
        Place::Medium(usable)
    })
}
