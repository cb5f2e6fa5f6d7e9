//! For programs that defragment: whether it helps to free a block and allocate it again.
//!
//! It helps when the block's span holds few blocks, no more than the spans of its class do on average, and the other spans
//! have room for them: then they can all leave, and the span goes back. Moving a block of a fuller span costs a copy and
//! frees nothing. A medium or a large block has its pages to itself, so moving it never helps.
//!
//! The loop that programs write is: ask, allocate, copy, free, next block. A bin is last in, first out, so it would hand out
//! for the second block the place that the first one left, in the very span that is to become empty. Therefore an answer of
//! yes also takes what lies on top of the asking thread's bin back into its spans, as far as these are to become empty too: so
//! the next block of the class comes from a fuller span. Each block is taken off once for the free that put it there.
//!
//! # Safety
//! Spans and their counts are read under the lock of their heap; the bin is the asking thread's own.

use super::entry::{anchor_in, class_in, is_small};
use super::layout::{Heap, Locked, Status};
use crate::backend::segment::span_of;
use crate::backend::span::{Span, next_of};
use crate::map::page_map;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

/// Whether freeing `block` and allocating it again, in this thread, would help to give memory back. Never for what is not
/// a live small block of ours. Waits while somebody is at work on the heap that owns the block.
pub fn worth_moving(block: *const u8) -> bool {
    let entry = page_map::entry(block as usize);
    if !is_small(entry) {
        return false;
    }
    let Some(mine) = Heap::for_slow_path() else { return false };
    mine.looks_worth_moving(block as usize, entry)
}

impl Heap {
    /// As the heap of the asking thread.
    fn looks_worth_moving(&self, block: usize, entry: usize) -> bool {
        let (owner, class) = (Heap::at_anchor(anchor_in(entry)), class_in(entry));
        // Whoever was at work on a lost heap is not there to end it.
        if owner.status() == Status::Lost {
            return false;
        }
        let locked = if ptr::eq(owner, self) { owner.lock_as_owner() } else { owner.lock_as_visitor() };
        // The page map's word is good for as long as the lock is held.
        if page_map::entry(block) != entry {
            return false;
        }
        if !span_of(block).is_some_and(|span| locked.is_sparse(span, class, self)) {
            return false;
        }
        if ptr::eq(owner, self) {
            locked.uncover(class);
        } else {
            drop(locked);
            self.lock_as_owner().uncover(class);
        }
        true
    }
}

impl Locked<'_> {
    /// Whether `span` should be emptied: it is no fuller than its class is on average, an eighth more at most and never above
    /// three quarters; others have room for what it holds; and no blocks are being handed out of it. Whether one is being
    /// carved is known of the asking thread's own heap, `mine`; that of another thread is as good as full.
    fn is_sparse(&self, span: &Span, class: usize, mine: &Heap) -> bool {
        let lane = &self.heap.lanes[class];
        let carving = ptr::eq(self.heap, mine)
            && lane.bump.get() != lane.end.get()
            && span_of(lane.bump.get()).is_some_and(|run| ptr::eq(run, span));
        if carving || span.is_drawn() {
            return false;
        }
        let (used, capacity) = (u64::from(span.carved_blocks() - span.back_blocks()), u64::from(span.capacity()));
        let spans = lane.spans_taken.get().wrapping_sub(lane.spans_retired.get());
        let spare = lane.spare.get();
        let out = (spans * capacity).saturating_sub(spare);
        spare >= capacity && used * 4 <= capacity * 3 && used * spans * 8 <= out * 9
    }

    /// By the owner: takes blocks off the top of the bin, back into their spans, until one lies in a span that is not to be
    /// emptied.
    fn uncover(&self, class: usize) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        self.heap.settle(class);
        loop {
            let block = bin.head.load(Relaxed);
            if !span_of(block).is_some_and(|span| self.is_sparse(span, class, self.heap)) {
                return;
            }
            // SAFETY: the first block of this thread's bin, which leaves it for its span.
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
