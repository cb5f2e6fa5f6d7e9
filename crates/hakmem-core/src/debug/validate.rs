//! The validator: computes again, for the whole process, the invariants that stand above the structs.
//!
//! It allocates nothing, and is exact only while no other thread is in the allocator. It checks the state of each slab,
//! span and bin. For every class it also checks that no block is lost or doubled:
//!
//! ```text
//!   sum over spans of (carved - free)  =  live + in bins + in runs + on the way between heaps
//!
//!   example: 100 carved - 20 free      =   50  +   24    +   4     +  2
//! ```
//!
//! # Safety
//! Lists are followed only through blocks that are ours by the page map, and for no more steps than the list can have.

use crate::backend::medium;
use crate::backend::segment::{self, Segment};
use crate::backend::span::Span;
use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SLABS, span_bytes};
use crate::heap::{Heap, Status, anchor_in, bought_by_all, class_in, is_small};
use crate::map::page_map;
use crate::stats::row;
use core::sync::atomic::Ordering::Relaxed;

/// An invariant that does not hold, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The invariant that does not hold.
    pub what: &'static str,
    /// The address of the slab, block or heap; or the class, or the wrong number.
    pub at: usize,
}

fn check(holds: bool, what: &'static str, at: usize) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault { what, at }) }
}

/// Checks all invariants. Returns the number of small blocks in use, or the first fault.
pub fn validate() -> Result<u64, Fault> {
    let mut out = [0_u64; CLASSES];
    for segment in segment::mapped() {
        check_segment(segment, &mut out)?;
    }
    for heap in Heap::all().filter(|heap| heap.status() != Status::Lost) {
        for (class, out) in out.iter_mut().enumerate() {
            *out = out.wrapping_sub(u64::from(check_bin(heap, class)?));
        }
        check_medium_cache(heap)?;
    }
    let bought =
        |heap: &Heap| (0..CLASSES).map(|class| usize::from(heap.lanes[class].bought.get()) * span_bytes(class)).sum();
    for heap in Heap::all().filter(|heap| heap.status() != Status::Lost) {
        let spans: usize = bought(heap);
        check(spans <= heap.bought(), "the classes of a heap have bought no more than the heap", spans)?;
    }
    let all = Heap::all().map(Heap::bought).sum();
    check(bought_by_all() == all, "the heaps together have bought the sum of what each has bought", all)?;
    let mut live = 0;
    // In a child of a fork, blocks in lost heaps are not counted, and the counts of an orphan may be wrong by one.
    let lost = Heap::all().any(|heap| heap.status() == Status::Lost);
    let orphans = Heap::all().filter(|heap| heap.orphan.load(Relaxed)).count() as u64;
    for (class, out) in out.iter().enumerate() {
        let row = row(class);
        let travelling = row.remote_sent.wrapping_sub(row.remote_received);
        let in_use = row.allocations.wrapping_sub(row.frees);
        let equal = out.abs_diff(in_use.wrapping_add(travelling)) <= orphans;
        check(lost || equal, "blocks taken from spans = live + in bins + in runs + on the way", class)?;
        live += in_use;
    }
    Ok(live)
}

fn check_segment(segment: &'static Segment, out: &mut [u64; CLASSES]) -> Result<(), Fault> {
    let state = segment.state();
    check(state.dirty & !state.free == 0, "a dirty slab is free", segment.base())?;
    let mut slab = 0;
    while slab < SLABS {
        let at = segment.base() + slab * SLAB;
        let entry = page_map::entry(at);
        if state.free & (1 << slab) != 0 {
            check(entry == page_map::FREED, "a free slab is marked free", at)?;
            slab += 1;
            continue;
        }
        if is_small(entry) && Heap::at_anchor(anchor_in(entry)).status() == Status::Lost {
            slab += 1;
            continue;
        }
        let span = &segment.spans[slab];
        check(span.back() == 0, "a span begins where the one before it ends", at)?;
        check(slab + span.slabs() <= SLABS && span.slabs() != 0, "a span lies within its segment", at)?;
        for inner in slab..slab + span.slabs() {
            check(state.free & (1 << inner) == 0, "no slab of a span is free", at)?;
        }
        if is_small(entry) {
            check_span(span, at, entry)?;
            out[span.class()] += u64::from(span.carved_blocks() - span.back_blocks());
        } else {
            let is_medium = entry == page_map::MEDIUM || entry == page_map::CACHED;
            check(is_medium && span.base() == at, "a slab that is not free holds small blocks or a medium block", at)?;
            check(span.bytes() <= span.slabs() * SLAB, "a medium block lies within its slabs", at)?;
        }
        slab += span.slabs();
    }
    Ok(())
}

fn check_span(span: &'static Span, at: usize, entry: usize) -> Result<(), Fault> {
    check(span.base() == at, "a span has its own address as its base", at)?;
    check(span.class() == class_in(entry), "a span has the class that the page map has", at)?;
    for slab in 0..span.slabs() {
        check(page_map::entry(at + slab * SLAB) == entry, "all slabs of a span have one entry", at)?;
    }
    check(span.back_blocks() <= span.carved_blocks(), "free + away <= carved", at)?;
    check(span.away_blocks() == span.count_away(), "the blocks that are away are those that overlap a hole", at)?;
    check(span.carved_blocks() <= span.capacity(), "carved <= capacity", at)?;
    check(!span.is_empty(), "a span with no block in use is released", at)?;
    let mut length = 0;
    for block in span.list().take(span.capacity() as usize + 1) {
        check(span.is_block(block), "a block on the list of a span is a block of the span", block)?;
        length += 1;
    }
    check(length == span.free_blocks(), "the list of a span is as long as its count says", at)?;
    check(span.is_marked(), "the blocks on the list of a span are those that are marked", at)?;
    let owner = Heap::at_anchor(anchor_in(entry));
    check(span.is_listed() == span.has_room(), "a span is listed if it has blocks to hand out", at)?;
    let listed = owner.lanes[span.class()].partial.iter().any(|other| core::ptr::eq(other, span));
    check(listed == span.is_listed(), "a listed span is in the list of its owner", at)
}

fn check_medium_cache(heap: &Heap) -> Result<(), Fault> {
    let mut bytes = 0;
    for (slabs, span) in heap.medium_cache.blocks() {
        check(span.slabs() == slabs, "a block of a medium cache is in the row of its size", span.base())?;
        let is_free = page_map::entry(span.base()) == page_map::CACHED;
        check(is_free && medium::at(span.base()).is_some(), "a block of a medium cache is free", span.base())?;
        bytes += (slabs * SLAB) as u64;
    }
    check(heap.medium_cache.is_counted(), "the rows of a medium cache are as long as their counts say", heap.anchor())?;
    check(bytes == heap.medium_cache.bytes(), "a medium cache holds the bytes that its count says", heap.anchor())
}

/// Checks the bin and the run of `class`. Returns the number of blocks that they hold.
fn check_bin(heap: &Heap, class: usize) -> Result<u32, Fault> {
    let (bin, lane) = (&heap.bins[class], &heap.lanes[class]);
    let pushes = lane.granted.get().wrapping_sub(bin.frees_left.load(Relaxed));
    let counted = lane.held.get().wrapping_add(pushes).wrapping_sub(bin.pops.load(Relaxed));
    let mut length = 0;
    let orphan = heap.orphan.load(Relaxed);
    for block in heap.bin_blocks(class) {
        let entry = page_map::entry(block);
        let ours = is_small(entry) && anchor_in(entry) == heap.anchor() && class_in(entry) == class;
        check(ours, "a block in a bin is of its heap and class", block)?;
        check(length < counted || orphan, "the list of a bin is not longer than its count says", block)?;
        length += 1;
    }
    check(
        length == counted || orphan && length.abs_diff(counted) == 1,
        "the list of a bin is as long as its count says",
        class,
    )?;
    let room = |span: &Span| u64::from(span.back_blocks() + span.capacity() - span.carved_blocks());
    let spare: u64 = lane.partial.iter().map(room).sum();
    check(spare == lane.spare.get(), "a lane counts the free blocks of its spans", class)?;
    let run = lane.end.get() - lane.bump.get();
    check(run.is_multiple_of(BLOCK_SIZE[class] as usize), "a run is a number of whole blocks", lane.bump.get())?;
    Ok(length + (run / BLOCK_SIZE[class] as usize) as u32)
}
