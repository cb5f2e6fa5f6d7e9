//! Support for programs that defragment: whether it helps to free a block and allocate it again.
//!
//! Moving a block helps when its span is sparse: when it holds no more blocks than the spans of its class do on
//! average, and the other spans have room for these blocks. Then all blocks of the span can move, and the span is
//! released. Moving a block of a fuller span costs a copy and frees nothing. A medium or a large block does not share
//! its pages, so moving it never helps.
//!
//! A program defragments in a loop: ask, allocate, copy, free, next block. A bin is last in, first out, so it would
//! serve the second block from the place of the first one, in the same sparse span. Therefore a positive answer also
//! moves blocks from the top of the calling thread's bin into their spans, as long as these are sparse. So the next
//! block of the class comes from a fuller span. A block is moved out of the bin at most once for each free that put it
//! there.
//!
//! # Safety
//! Spans and their counts are read under the lock of their heap; the bin belongs to the calling thread.

use super::entry::{anchor_in, class_in, is_small};
use super::layout::{Heap, Locked, Status};
use crate::backend::segment::span_of;
use crate::backend::span::{Span, next_of};
use crate::map::page_map;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

/// Whether it would help to release memory if this thread freed `block` and allocated it again. False for a pointer
/// that is not a live small block of this allocator. Waits while another thread holds the lock of the heap that owns
/// the block.
pub fn worth_moving(block: *const u8) -> bool {
    let entry = page_map::entry(block as usize);
    if !is_small(entry) {
        return false;
    }
    let Some(mine) = Heap::for_slow_path() else { return false };
    mine.looks_worth_moving(block as usize, entry)
}

impl Heap {
    /// Implements [`worth_moving`], called on the heap of the calling thread.
    fn looks_worth_moving(&self, block: usize, entry: usize) -> bool {
        let (owner, class) = (Heap::at_anchor(anchor_in(entry)), class_in(entry));
        // The lock of a lost heap may be held by a thread that does not exist in this process.
        if owner.status() == Status::Lost {
            return false;
        }
        let locked = if ptr::eq(owner, self) { owner.lock_as_owner() } else { owner.lock_as_visitor() };
        // Under the lock the page map entry does not change.
        if page_map::entry(block) != entry {
            return false;
        }
        if !span_of(block).is_some_and(|span| locked.is_sparse(span, class, self)) {
            return false;
        }
        if ptr::eq(owner, self) {
            locked.return_sparse_top(class);
        } else {
            drop(locked);
            self.lock_as_owner().return_sparse_top(class);
        }
        true
    }
}

impl Locked<'_> {
    /// Whether `span` should be emptied. It must hold at most an eighth more blocks than the spans of its class do on
    /// average, and be at most three quarters full; the other spans must have room for its blocks; and no blocks may be
    /// handed out from it, neither from its list nor as the run of `mine`, the heap of the calling thread. The run of
    /// another thread's heap cannot be read.
    fn is_sparse(&self, span: &Span, class: usize, mine: &Heap) -> bool {
        let lane = &self.heap.lanes[class];
        let carving = ptr::eq(self.heap, mine)
            && lane.bump.get() != lane.end.get()
            && span_of(lane.bump.get()).is_some_and(|run| ptr::eq(run, span));
        if carving || span.feeds_bin() {
            return false;
        }
        let (used, capacity) = (u64::from(span.carved_blocks() - span.returned_blocks()), u64::from(span.capacity()));
        let spans = lane.spans_taken.get().wrapping_sub(lane.spans_retired.get());
        let spare = lane.spare.get();
        let in_use = (spans * capacity).saturating_sub(spare);
        spare >= capacity && used * 4 <= capacity * 3 && used * spans * 8 <= in_use * 9
    }

    /// Moves blocks from the top of the bin into their spans, until the top block lies in a span that is not sparse.
    /// Called by the owner.
    fn return_sparse_top(&self, class: usize) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        self.heap.settle(class);
        loop {
            let block = bin.head.load(Relaxed);
            if !span_of(block).is_some_and(|span| self.is_sparse(span, class, self.heap)) {
                return;
            }
            // SAFETY: this is the first block of this thread's bin, and leaves the bin before it goes to its span.
            let put = unsafe {
                bin.head.store(next_of(block), Relaxed);
                self.put(block)
            };
            if put.is_err() {
                lane.popped.add(1);
            }
            lane.held.set(lane.held.get().wrapping_sub(1));
            lane.flushed.set(true);
        }
    }
}
