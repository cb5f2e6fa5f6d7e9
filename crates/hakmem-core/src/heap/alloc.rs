//! Allocation: the fast path, and the slow paths for small, medium and large blocks.
//!
//! # Safety
//! A block taken from a bin's list is free and belongs to this thread; its first word is the link to the next block.

use super::counters;
use super::layout::{Big, Bin, EMPTY_HEAP, Heap, offsets};
use super::lookup::usable_size_of;
use super::ownership;
use super::refill;
use super::slow_path_end;
use super::slow_path_mark::SlowPathMark;
use crate::backend::large;
use crate::backend::medium;
use crate::backend::span::set_next;
use crate::base::sizes::{
    BLOCK_SIZE, CLASSES, MEDIUM_MAX, SLAB, SMALL_MAX, STEP_ABOVE, TABLE_MAX, class_of, class_of_aligned, has_place,
};
use crate::map::page_map;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::{process, slot};

/// Bytes of a run that are listed in the bin at once: few compared to a page, so that no memory is touched long before
/// it is used.
const LISTED_RUN_BYTES: usize = 512;

/// Takes the first block of this thread's bin at `offset` bytes from its first bin; 0 if the bin is empty.
#[inline(always)]
fn pop(offset: usize) -> usize {
    let bins = slot::add_distance(&raw const EMPTY_HEAP as usize);
    // SAFETY: this is a bin of this thread's heap, or of the empty heap, whose bins are always empty.
    unsafe { &*((bins + offset) as *const Bin) }.pop()
}

/// Allocates `size` bytes. Returns null and sets ENOMEM when memory is out. The block is aligned to 16 from 16 bytes
/// up, and to 8 below.
///
/// A block that is in the bin costs 15 instructions, which read only the thread's slot, one table word, the bin and the
/// block.
#[inline(always)]
pub fn allocate(size: usize) -> *mut u8 {
    if size <= TABLE_MAX {
        let block = pop(EMPTY_HEAP.offsets[size.wrapping_add(7) >> 3] as usize);
        if block != 0 {
            return block as *mut u8;
        }
    }
    allocate_cold(size)
}

/// Returns a block of this thread's bin, aligned to 16 whatever its size, which compilers assume of
/// `operator new` in C++. Returns null if the bin is empty, without trying anything else.
#[inline(always)]
pub fn pop_for_new(size: usize) -> *mut u8 {
    if size > TABLE_MAX {
        return ptr::null_mut();
    }
    pop(EMPTY_HEAP.offsets_for_new[size.wrapping_add(7) >> 3] as usize) as *mut u8
}

/// Like [`allocate`], but the block is aligned to 16 whatever the size.
pub fn allocate_for_new(size: usize) -> *mut u8 {
    allocate(size.max(16))
}

/// Like [`allocate`], for callers that often know the size at compile time: the table here is a constant, so the
/// compiler evaluates the lookup.
#[inline(always)]
pub fn allocate_inline(size: usize) -> *mut u8 {
    static OFFSETS: [u16; TABLE_MAX / 8 + 1] = offsets::<8, _>(0);
    if size <= TABLE_MAX {
        let block = pop(OFFSETS[size.wrapping_add(7) >> 3] as usize);
        if block != 0 {
            return block as *mut u8;
        }
    }
    allocate_cold(size)
}

/// Allocates where the fast path found no block. Sizes above the first table look into their bin here.
#[inline(never)]
extern "C" fn allocate_cold(size: usize) -> *mut u8 {
    if size > TABLE_MAX && size <= SMALL_MAX {
        let block = pop(EMPTY_HEAP.offsets_above[size.wrapping_add(STEP_ABOVE - 1) / STEP_ABOVE] as usize);
        if block != 0 {
            return block as *mut u8;
        }
    }
    allocate_slow(size)
}

#[inline(never)]
extern "C" fn allocate_slow(size: usize) -> *mut u8 {
    or_enomem(if size > SMALL_MAX { allocate_big(size, 1, false) } else { supply(class_of(size)) })
}

/// Returns the block that was found, or null after setting ENOMEM. The C functions do not set it themselves: they would
/// have to wait for the result instead of jumping to the cold path.
#[inline]
pub(super) fn or_enomem(found: Option<(usize, bool)>) -> *mut u8 {
    match found {
        Some((block, _)) => block as *mut u8,
        None => {
            process::set_enomem();
            ptr::null_mut()
        }
    }
}

/// Allocates a block of `class` from this thread's run, or by a refill. The flag says whether the block is zero.
#[inline]
fn supply(class: usize) -> Option<(usize, bool)> {
    slow_path_end::allocate_or_retry(BLOCK_SIZE[class] as usize, || match Heap::for_slow_path() {
        Some(heap) => heap.supply(class),
        None => ownership::borrow(|heap| heap.supply(class)),
    })
}

impl Heap {
    #[inline]
    pub(super) fn supply(&self, class: usize) -> Option<(usize, bool)> {
        let lane = &self.lanes[class];
        // The bin can hold a block only in a borrowed heap, and after the scavenger cleared this thread's slot.
        let listed = self.bins[class].pop();
        if listed != 0 {
            return Some((listed, false));
        }
        let block = lane.bump.get();
        // Freed blocks, in the inbox or in spans, are used before memory that was never touched.
        if block == lane.end.get() || lane.flushed.get() || self.inbox.load(Relaxed) != 0 {
            return self.refill(class);
        }
        let carved = self.carve(class);
        self.list_run_blocks(class);
        Some(carved)
    }

    /// Moves the next few blocks of the run into the bin, which is empty: that costs less than one slow path for each
    /// block.
    fn list_run_blocks(&self, class: usize) {
        let (lane, size) = (&self.lanes[class], BLOCK_SIZE[class] as usize);
        let first = lane.bump.get();
        let count = (LISTED_RUN_BYTES / size).min((lane.end.get() - first) / size);
        if count == 0 {
            return;
        }
        let end = first + count * size;
        for block in (first..end - size).step_by(size) {
            // SAFETY: the block belongs to the run, so it is not in use.
            unsafe { set_next(block, block + size) };
        }
        // SAFETY: as above; this is the last block.
        unsafe { set_next(end - size, 0) };
        lane.bump.set(end);
        self.bins[class].head.store(first, Relaxed);
        lane.held.set(lane.held.get().wrapping_add(count as u32));
    }
}

/// A medium or large block; the flag says whether it is zero. Tables asked for `zeroed` are often touched here and
/// there only.
#[cold]
fn allocate_big(size: usize, align: usize, zeroed: bool) -> Option<(usize, bool)> {
    if !has_place(size, align) {
        return None;
    }
    slow_path_end::allocate_or_retry(size, || allocate_big_once(size, align, zeroed))
}

fn allocate_big_once(size: usize, align: usize, zeroed: bool) -> Option<(usize, bool)> {
    let heap = Heap::for_slow_path();
    let _mark = SlowPathMark::set_without(heap.as_ref());
    if let Some(heap) = &heap {
        heap.tick(refill::TICKS_FOR_BIG);
    }
    let (kind, block) = if size <= MEDIUM_MAX && align <= SLAB {
        (Big::Medium, heap.as_ref().map_or_else(|| medium::allocate(size), |heap| heap.allocate_medium(size)))
    } else {
        (Big::Large, large::allocate(size, align, zeroed))
    };
    let block = block?;
    counters::tally(heap.as_deref(), kind, |tally| {
        tally.allocations.add(1);
        tally.add_bytes(usable_of(block.0));
    });
    Some(block)
}

pub(super) fn usable_of(block: usize) -> usize {
    usable_size_of(page_map::entry(block), block).unwrap_or(0)
}

/// Allocates `size` zero bytes. Returns null when memory is out. Memory that is fresh from the system is not zeroed
/// again.
#[inline(always)]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    if size <= TABLE_MAX {
        let offset = EMPTY_HEAP.offsets[size.wrapping_add(7) >> 3] as usize;
        let block = pop(offset);
        if block != 0 {
            // All bytes that `usable_size` reports are zeroed.
            // SAFETY: the table holds offsets of bins; the block belongs to this caller, and has that many bytes.
            unsafe {
                let bytes = *BLOCK_SIZE.get_unchecked(offset / size_of::<Bin>());
                ptr::write_bytes(block as *mut u8, 0, bytes as usize);
            }
            return block as *mut u8;
        }
    }
    allocate_zeroed_cold(size)
}

#[inline(never)]
extern "C" fn allocate_zeroed_cold(size: usize) -> *mut u8 {
    allocate_zeroed_aligned(size, 1)
}

/// Like [`allocate_zeroed`], at a multiple of `align`, a power of two.
pub fn allocate_zeroed_aligned(size: usize, align: usize) -> *mut u8 {
    let found = find(size, align, true);
    if let Some((block, false)) = found {
        // SAFETY: the block belongs to this caller, and has that many bytes.
        unsafe { ptr::write_bytes(block as *mut u8, 0, usable_of(block)) };
    }
    or_enomem(found)
}

/// Allocates `size` bytes at a multiple of `align`, a power of two. Returns null when memory is out.
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    or_enomem(find(size, align, false))
}

/// Allocates a block of any kind, of `size` bytes at a multiple of `align`. The flag says whether the block is zero.
#[inline]
pub(super) fn find(size: usize, align: usize, zeroed: bool) -> Option<(usize, bool)> {
    let class = class_of_aligned(size, align);
    if class == CLASSES {
        return allocate_big(size, align, zeroed);
    }
    match pop(class * size_of::<Bin>()) {
        0 => supply(class),
        block => Some((block, false)),
    }
}
