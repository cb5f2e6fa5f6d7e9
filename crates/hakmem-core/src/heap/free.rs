//! Freeing: the fast path and, beside it, what it falls back to.
//!
//! # Safety
//! A pointer from the program is not a block until the page map says so; it is written to only after that.

use super::{BINS_BYTES, Big, Bin, Heap, Work, adopt, anchor_in, bin_distance, class_in, is_small, misuse, refill};
use crate::foreign;
use crate::large;
use crate::medium;
use crate::pagemap;
use crate::sizes::BLOCK_SIZE;
use crate::span::set_next;
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
    let distance = pagemap::entry(block as usize) ^ anchor;
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
    if unsafe { slot::count_down::<{ offset_of!(Bin, room) }>(anchor, distance) } {
        bin_is_full(block);
    }
}

#[inline(never)]
extern "C" fn bin_is_full(latest: *mut u8) {
    let entry = pagemap::entry(latest as usize);
    let (heap, class) = (Heap::at_anchor(anchor_in(entry)), class_in(entry));
    match heap.begin() {
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
    let entry = pagemap::entry(address);
    let heap = Heap::to_free();
    let _work = Work::begin_without(heap.as_ref());
    if is_small(entry) {
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
    let freed = if entry == pagemap::MEDIUM {
        free_medium(heap.as_deref(), address).map(|bytes| (Big::Medium, bytes))
    } else if large::is_large(entry) {
        large::free(entry, address).map(|bytes| (Big::Large, bytes))
    } else {
        None
    };
    match freed {
        Some((kind, bytes)) => {
            adopt::tally(heap.as_deref(), kind, |tally| {
                tally.frees.add(1);
                tally.sub_bytes(bytes);
            });
            if let Some(heap) = heap {
                heap.tick(refill::BIG);
            }
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

/// Usable bytes of the block at `address`, whose entry this is; `None` if no block of ours begins there.
pub(super) fn usable_size_of(entry: usize, address: usize) -> Option<usize> {
    if is_small(entry) {
        let class = class_in(entry);
        refill::is_border(class, address).then_some(BLOCK_SIZE[class] as usize)
    } else if entry == pagemap::MEDIUM {
        medium::usable_size(address)
    } else if large::is_large(entry) {
        large::usable_size(entry, address)
    } else {
        None
    }
}

/// Usable bytes of a block of ours; `None` for anything else.
#[inline]
pub fn usable_size(block: *const u8) -> Option<usize> {
    usable_size_of(pagemap::entry(block as usize), block as usize)
}
