//! Freeing: the fast path and, beside it, what it falls back to.
//!
//! # Safety
//! A pointer from the program is not a block until the page map says so; it is written to only after that.

use super::counters;
use super::entry::{anchor_in, bin_distance, class_at, class_in, is_small};
use super::layout::{BINS_BYTES, Big, Bin, Heap};
use super::lookup::usable_size_of;
use super::misuse::{self, is_free, name_misuse};
use super::pressure;
use super::refill;
use super::work::Work;
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

/// Frees a block; null is ignored, what is not ours goes to whom it belongs or is named and left alone.
///
/// A small block of this thread costs 23 instructions, two of which notice a block freed twice in a row.
///
/// # Safety
/// `block` is null or a live block, and the caller forgets it. (Misuse is named where it is noticed, not excused.)
#[inline(always)]
pub unsafe fn free(block: *mut u8) {
    let anchor = slot::heap();
    let distance = page_map::entry(block as usize) ^ anchor;
    if distance >= BINS_BYTES.wrapping_neg() {
        // SAFETY: the page map says: a block of the class whose bin lies there.
        unsafe { push(anchor, distance, block) }
    } else {
        // SAFETY: the caller's.
        unsafe { free_cold(block, anchor, distance) }
    }
}

/// The sizes that are served by one class.
#[repr(C)]
struct Sizes {
    least: usize,
    /// How much larger the largest is.
    more: usize,
}

/// Those of each class, as far apart as the bins: so a bin's distance from the anchor is that of its class's sizes from the end.
/// Blocks of 16 bytes are also those that C++ asks for with less.
static SIZES: [Sizes; CLASSES] = {
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

/// Whether `size` is one that the class whose bin lies at `distance` serves.
#[inline(always)]
fn serves(distance: usize, size: usize) -> bool {
    let sizes = SIZES.as_ptr_range().end.wrapping_byte_add(distance);
    // SAFETY: the callers have the distance of a bin.
    let sizes = unsafe { &*sizes };
    size.wrapping_sub(sizes.least) <= sizes.more
}

/// [`free`] for who says which size the block was asked for, as C++ does: another one than that is named.
///
/// That costs four instructions more.
///
/// # Safety
/// As for [`free`].
#[inline(always)]
pub unsafe fn free_asked_for(block: *mut u8, size: usize) {
    let anchor = slot::heap();
    let distance = page_map::entry(block as usize) ^ anchor;
    if distance >= BINS_BYTES.wrapping_neg() && serves(distance, size) {
        // SAFETY: as in `free`.
        unsafe { push(anchor, distance, block) }
    } else {
        // SAFETY: the caller's.
        unsafe { free_asked_for_cold(block, size, anchor, distance) }
    }
}

#[inline(never)]
unsafe extern "C" fn free_asked_for_cold(block: *mut u8, size: usize, anchor: usize, distance: usize) {
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
    // SAFETY: the caller's.
    unsafe { if is_right { free_cold(block, anchor, distance) } else { free_wrong_size(block, size) } }
}

/// Puts a block on this thread's bin at `distance` from its anchor.
#[inline(always)]
unsafe fn push(anchor: usize, distance: usize, block: *mut u8) {
    // SAFETY: the caller found this thread's bin there.
    let bin = unsafe { Bin::at(anchor, distance) };
    let head = bin.head.load(Relaxed);
    if head == block as usize {
        return misuse::freed_twice_in_a_row(block);
    }
    // SAFETY: a block of ours, which its user gave up.
    unsafe { set_next(block as usize, head) };
    bin.head.store(block as usize, Relaxed);
    // SAFETY: the bin's word.
    if unsafe { slot::count_down::<{ offset_of!(Bin, frees_left) }>(anchor, distance) } {
        bin_is_full(anchor, distance);
    }
}

#[inline(never)]
extern "C" fn bin_is_full(anchor: usize, distance: usize) {
    let (heap, class) = (Heap::at_anchor(anchor), class_at(distance));
    match heap.begin_slow_path() {
        Some(heap) => heap.overflow(class),
        // In a signal handler that interrupted a slow path the list grows; it is settled next time.
        None => heap.grant_more(class),
    }
}

/// What the fast path read is handed on in registers: to look for it again would take longer than much of what comes here.
#[inline(never)]
unsafe extern "C" fn free_cold(block: *mut u8, anchor: usize, distance: usize) {
    let (address, entry) = (block as usize, distance ^ anchor);
    if address == 0 {
        return;
    }
    let heap = Heap::to_free();
    let _work = Work::begin_without(heap.as_ref());
    if is_small(entry) {
        // The scavenger may clear the slot at any moment.
        let anchor = heap.as_ref().map_or_else(slot::heap, |heap| heap.anchor());
        if anchor != 0 && anchor_in(entry) == anchor {
            // The slot was clear, so the fast path could not know.
            drop(heap);
            // SAFETY: the page map says: a block of this class, ours.
            unsafe { push(anchor, bin_distance(class_in(entry)), block) }
        } else {
            // SAFETY: a block of the heap that the entry names.
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
                heap.tick(refill::BIG);
            }
            pressure::answer_quiet_demand();
        }
        None => {
            if let Some(heap) = heap {
                heap.misses.add(1);
            }
            if entry != 0 || !foreign::free(block) {
                misuse::name_misuse("free", block);
            }
        }
    }
}

/// Frees the medium block at `address`, into the hands of this thread if it has a heap; its size.
fn free_medium(heap: Option<&Heap>, address: usize) -> Option<usize> {
    if let Some(heap) = heap {
        return heap.free_medium(address);
    }
    let span = medium::at(address)?;
    let bytes = span.bytes();
    medium::release(span);
    Some(bytes)
}

/// Frees a block for `function`, which was told its size and what it is aligned to; 0 is not told. A wrong size or alignment is
/// named, and the block is freed all the same.
///
/// # Safety
/// As for [`free`].
pub unsafe fn free_sized(function: &str, block: *mut u8, size: usize, align: usize) {
    let (address, entry) = (block as usize, page_map::entry(block as usize));
    if entry != 0 {
        let Some(place) = place_if_live(entry, address) else { return name_misuse(function, block) };
        // `realloc` leaves a small block where it is while half of it is used; what is aligned may be much longer than asked.
        let little = align == 0 && size < place.bytes() / 2 && place.bytes() > 16;
        let little = little && is_small(entry) && !guard::shrink_has_failed();
        if size > place.bytes() || size != 0 && little {
            guard::report(function, address, Wrong::Size(place, size));
        }
        if align.is_power_of_two() && !address.is_multiple_of(align) {
            guard::report(function, address, Wrong::Alignment(place, align));
        }
    }
    // SAFETY: the caller's.
    unsafe { free(block) }
}

/// Frees a block for C++, which was told a size that is not the block's. That is named, and the block is freed all the same.
///
/// # Safety
/// As for [`free`]; its page map entry says that it is ours.
#[cold]
#[inline(never)]
unsafe fn free_wrong_size(block: *mut u8, size: usize) {
    let function = "operator delete";
    match place_if_live(page_map::entry(block as usize), block as usize) {
        Some(place) => {
            guard::report(function, block as usize, Wrong::Size(place, size));
            // SAFETY: the caller's.
            unsafe { free(block) }
        }
        None => name_misuse(function, block),
    }
}

/// What the block at `address` is, whose entry this is; `None` if no block of ours begins there, or it is known to be free.
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
