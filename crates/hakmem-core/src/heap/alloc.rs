//! Allocation: the fast path and, beside it, what it falls back to.
//!
//! # Safety
//! A block taken from a bin's list is free and this thread's; its first word is the link.

use super::counters;
use super::layout::{Big, Bin, EMPTY_HEAP, Heap, offsets};
use super::lookup::usable_size_of;
use super::ownership;
use super::pressure;
use super::refill;
use super::work::Work;
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

/// Bytes of a run that are listed at once: little beside a page, so that no memory is touched much before it is used.
const AHEAD_BYTES: usize = 512;

/// Takes the first block of the bin `offset` bytes into this thread's bins; 0 if it has none.
#[inline(always)]
fn pop(offset: usize) -> usize {
    let bins = slot::add_distance(&raw const EMPTY_HEAP as usize);
    // SAFETY: this thread's bin, or the ground's, whose lists are always empty.
    unsafe { &*((bins + offset) as *const Bin) }.pop()
}

/// Allocates `size` bytes; null and ENOMEM when memory is out. Aligned to 16 from 16 bytes up, to 8 below.
///
/// A small block that a bin has costs 15 instructions; nothing is read but the thread's slot, one table word, the bin and
/// the block.
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

/// A block that this thread has at hand, aligned to 16 whatever its size, which compilers assume of C++'s `operator new`;
/// null if there is none, with nothing else tried.
#[inline(always)]
pub fn pop_for_new(size: usize) -> *mut u8 {
    if size > TABLE_MAX {
        return ptr::null_mut();
    }
    pop(EMPTY_HEAP.offsets_for_new[size.wrapping_add(7) >> 3] as usize) as *mut u8
}

/// [`allocate`], aligned to 16 whatever the size.
pub fn allocate_for_new(size: usize) -> *mut u8 {
    allocate(size.max(16))
}

/// [`allocate`] for callers that often know the size at compile time: this table is a constant, so the compiler looks it up.
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

/// What the bin's list does not answer at once. For sizes above the first table that is the list itself.
#[inline(never)]
extern "C" fn allocate_cold(size: usize) -> *mut u8 {
    if size > TABLE_MAX && size <= SMALL_MAX {
        let block = pop(EMPTY_HEAP.offsets_above[size.wrapping_add(STEP_ABOVE - 1) / STEP_ABOVE] as usize);
        if block != 0 {
            return block as *mut u8;
        }
    }
    allocate_behind(size)
}

#[inline(never)]
extern "C" fn allocate_behind(size: usize) -> *mut u8 {
    or_enomem(if size > SMALL_MAX { allocate_big(size, 1, false) } else { supply(class_of(size)) })
}

/// The block that was found, or null and ENOMEM: set here and not by the C functions, which would have to wait for the
/// answer instead of jumping to the cold path.
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

/// A block of `class` from this thread's run, or from behind it; the flag says whether it is zero.
#[inline]
fn supply(class: usize) -> Option<(usize, bool)> {
    pressure::allocate_or_retry(BLOCK_SIZE[class] as usize, || match Heap::for_slow_path() {
        Some(heap) => heap.supply(class),
        None => ownership::borrow(|heap| heap.supply(class)),
    })
}

impl Heap {
    #[inline]
    pub(super) fn supply(&self, class: usize) -> Option<(usize, bool)> {
        let lane = &self.lanes[class];
        // The bin is empty, but in a borrowed heap, or for a thread whose slot was cleared and that came back.
        let listed = self.bins[class].pop();
        if listed != 0 {
            return Some((listed, false));
        }
        let block = lane.bump.get();
        // What others, or this bin, gave back comes before memory that nobody has touched.
        if block == lane.end.get() || lane.flushed.get() || self.inbox.load(Relaxed) != 0 {
            return self.refill(class);
        }
        let carved = self.carve(class);
        self.list_ahead(class);
        Some(carved)
    }

    /// Moves the next few blocks of the run onto the bin, which is empty: that costs less than coming here for each.
    fn list_ahead(&self, class: usize) {
        let (lane, size) = (&self.lanes[class], BLOCK_SIZE[class] as usize);
        let first = lane.bump.get();
        let count = (AHEAD_BYTES / size).min((lane.end.get() - first) / size);
        if count == 0 {
            return;
        }
        let end = first + count * size;
        for block in (first..end - size).step_by(size) {
            // SAFETY: a block of the run, which nobody uses.
            unsafe { set_next(block, block + size) };
        }
        // SAFETY: as above, the last one.
        unsafe { set_next(end - size, 0) };
        lane.bump.set(end);
        self.bins[class].head.store(first, Relaxed);
        lane.held.set(lane.held.get().wrapping_add(count as u32));
    }
}

/// A medium or large block; the flag says whether it is zero. Tables asked for `zeroed` are often touched here and there only.
#[cold]
fn allocate_big(size: usize, align: usize, zeroed: bool) -> Option<(usize, bool)> {
    if !has_place(size, align) {
        return None;
    }
    pressure::allocate_or_retry(size, || allocate_big_once(size, align, zeroed))
}

fn allocate_big_once(size: usize, align: usize, zeroed: bool) -> Option<(usize, bool)> {
    let heap = Heap::for_slow_path();
    let _work = Work::begin_without(heap.as_ref());
    if let Some(heap) = &heap {
        heap.tick(refill::BIG);
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

/// Allocates `size` zero bytes; null when memory is out. Memory fresh from the system is not written again.
#[inline(always)]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    if size <= TABLE_MAX {
        let offset = EMPTY_HEAP.offsets[size.wrapping_add(7) >> 3] as usize;
        let block = pop(offset);
        if block != 0 {
            // All that `usable_size` promises is zeroed.
            // SAFETY: the table holds offsets of bins; the block is this caller's, and that long.
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

/// [`allocate_zeroed`] at a multiple of `align`, a power of two.
pub fn allocate_zeroed_aligned(size: usize, align: usize) -> *mut u8 {
    let found = find(size, align, true);
    if let Some((block, false)) = found {
        // SAFETY: the block is this caller's, and that long.
        unsafe { ptr::write_bytes(block as *mut u8, 0, usable_of(block)) };
    }
    or_enomem(found)
}

/// Allocates `size` bytes at a multiple of `align`, a power of two; null when memory is out.
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    or_enomem(find(size, align, false))
}

/// A block of `size` bytes at a multiple of `align`, of any kind; the flag says whether it is zero.
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
