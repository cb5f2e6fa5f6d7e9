//! Freeing: the fast path and, beside it, what it falls back to.
//!
//! # Safety
//! A pointer from the program is not a block until the page map says so; it is written to only after that.

use super::counters;
use super::entry::{anchor_in, bin_distance, class_in, is_small};
use super::layout::{BINS_BYTES, Big, Bin, Heap};
use super::lookup::usable_size_of;
use super::misuse::{self, is_free, name_misuse};
use super::pressure;
use super::refill;
use crate::backend::large;
use crate::backend::medium;
use crate::backend::span::set_next;
use crate::base::foreign;
use crate::base::guard::{self, Place, Wrong};
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
        unsafe { free_cold(block) }
    }
}

/// Puts a block on this thread's bin at `distance` from its anchor.
#[inline(always)]
unsafe fn push(anchor: usize, distance: usize, block: *mut u8) {
    // SAFETY: the caller found this thread's bin there.
    let bin = unsafe { &*(anchor.wrapping_add(distance) as *const Bin) };
    let head = bin.head.load(Relaxed);
    if head == block as usize {
        return misuse::freed_twice_in_a_row(block);
    }
    // SAFETY: a block of ours, which its user gave up.
    unsafe { set_next(block as usize, head) };
    bin.head.store(block as usize, Relaxed);
    // SAFETY: the bin's word.
    if unsafe { slot::count_down::<{ offset_of!(Bin, frees_left) }>(anchor, distance) } {
        bin_is_full(block);
    }
}

#[inline(never)]
extern "C" fn bin_is_full(latest: *mut u8) {
    let entry = page_map::entry(latest as usize);
    let (heap, class) = (Heap::at_anchor(anchor_in(entry)), class_in(entry));
    match heap.begin_slow_path() {
        Some(heap) => heap.overflow(class),
        // In a signal handler that interrupted a slow path the list grows; it is settled next time.
        None => heap.grant_more(class),
    }
}

#[inline(never)]
unsafe extern "C" fn free_cold(block: *mut u8) {
    let address = block as usize;
    if address == 0 {
        return;
    }
    let entry = page_map::entry(address);
    if is_small(entry) {
        let heap = Heap::to_free();
        let anchor = slot::heap();
        if anchor != 0 && anchor_in(entry) == anchor {
            // The slot was cleared, so the fast path could not know.
            drop(heap);
            // SAFETY: the page map says: a block of this class, ours.
            unsafe { push(anchor, bin_distance(class_in(entry)), block) }
        } else {
            // SAFETY: a block of the heap that the entry names.
            unsafe { Heap::free_remote(heap.as_deref(), entry, address) }
        }
        return;
    }
    let heap = Heap::to_free();
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
/// As for [`free`](super::free).
pub unsafe fn free_sized(function: &str, block: *mut u8, size: usize, align: usize) {
    let (address, entry) = (block as usize, page_map::entry(block as usize));
    if entry != 0 {
        let usable = usable_size_of(entry, address);
        let Some(usable) = usable.filter(|_| !is_free(address)) else { return name_misuse(function, block) };
        let place = if is_small(entry) {
            Place::Small(usable)
        } else if large::is_large(entry) {
            Place::Large(usable)
        } else {
            Place::Medium(usable)
        };
        // `realloc` leaves a small block where it is while half of it is used; what is aligned may be much longer than asked.
        let little = align == 0 && size < usable / 2 && usable > 16 && is_small(entry) && !guard::shrink_has_failed();
        if size > usable || size != 0 && little {
            guard::report(function, address, Wrong::Size(place, size));
        }
        if align.is_power_of_two() && !address.is_multiple_of(align) {
            guard::report(function, address, Wrong::Alignment(place, align));
        }
    }
    // SAFETY: the caller's.
    unsafe { free(block) }
}
