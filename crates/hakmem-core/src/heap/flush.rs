//! Flushing a heap: cached blocks and runs go back to their spans, medium blocks to their segments, blocks of other
//! heaps to their owners.
//!
//! # Safety
//! Blocks that go from a bin to a span are free; a span is touched under the lock of its heap.

use super::entry::entry_for;
use super::layout::{Heap, Locked};
use super::misuse;
use crate::backend::segment::span_of;
use crate::backend::span::{Refusal, next_of};
use crate::base::sizes::CLASSES;
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;

impl Heap {
    /// Makes room in a settled bin if it has reached its limit. Returns whether it had.
    pub(super) fn flush_above_limit(&self, class: usize) -> bool {
        let lane = &self.lanes[class];
        let full = lane.held.get() >= lane.limit.get();
        if full {
            lane.flushed.set(true);
            self.flush(class, (lane.held.get() - lane.limit.get() + lane.limit.get() / 4).max(1));
        }
        full
    }

    /// Puts the latest `count` blocks of a settled bin back into their spans. These are in the processor's cache; each
    /// of the oldest would be a cache miss.
    fn flush(&self, class: usize, count: u32) {
        self.lock_as_owner().put_back(class, count);
    }

    /// Flushes the whole heap: all its cached blocks go back to their spans, and empty spans to their segments. Called
    /// by its owner.
    pub(super) fn flush_all(&self) {
        self.send_all();
        self.lock_as_owner().empty();
    }
}

impl Locked<'_> {
    /// Puts at most `most` blocks of a settled bin back into their spans, latest first. Called by the owner, or by the
    /// thread that acts as the owner.
    pub(super) fn put_back(&self, class: usize, most: u32) {
        self.put_back_list(class, self.heap.bins[class].head.swap(0, Relaxed), most);
    }

    /// The same for a list that the caller took off the bin. The lane's `held` counts this list.
    pub(super) fn put_back_list(&self, class: usize, list: usize, most: u32) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        let (mut block, mut taken, mut put, mut list_is_damaged) = (list, 0_u32, 0_u32, false);
        let entry = entry_for(self.heap.anchor(), class);
        while block != 0 && taken < most {
            // If the span was retired in the meantime, the block was freed twice.
            let span = span_of(block).filter(|_| page_map::entry(block) == entry);
            let Some(span) = span else {
                self.noticed.note(block, misuse::misuse_of(block));
                block = 0;
                break;
            };
            // Blocks that were freed one after another often share a span, so the span is looked up once for all of
            // them.
            // SAFETY: these are blocks of the bin, which are free; a block in a slab of a span belongs to the span.
            let (count, next) = unsafe { span.return_batch(block, most - taken, lane.bump.get()) };
            if count != 0 {
                lane.spare.add(u64::from(count));
                self.list_or_retire(span);
                (block, taken, put) = (next, taken + count, put + count);
                continue;
            }
            // SAFETY: as above.
            let next = unsafe { next_of(block) };
            taken += 1;
            // SAFETY: as above.
            block = match unsafe { self.put_checked(span, block) } {
                Ok(()) => {
                    put += 1;
                    next
                }
                Err(refusal) => {
                    // Either the block was linked into the bin while it was on the span's list, which damaged that
                    // list. Or the bin's list was a circle, and the block's link is now part of the span's list.
                    list_is_damaged |= refusal == Refusal::AlreadyFree;
                    if refusal == Refusal::AlreadyFree && span.link_is_intact(block) { 0 } else { next }
                }
            };
        }
        lane.held.set(lane.held.get().wrapping_sub(put));
        if block == 0 {
            self.heap.correct_held(class, 0);
        } else {
            self.heap.correct_held(class, lane.held.get().wrapping_sub(taken - put));
            bin.append(block);
        }
        if list_is_damaged {
            self.mend(class);
        }
    }

    /// Flushes the whole heap except its remote cache. Called by its owner, or by the thread that acts as the owner.
    pub(crate) fn empty(&self) {
        self.heap.sell_all();
        (0..CLASSES).filter(|class| self.heap.spans_held(*class) != 0).for_each(|class| self.empty_class(class));
        self.empty_medium_cache();
        self.drain_to_spans();
    }

    /// Puts the whole bin of `class`, and its run, back into their spans.
    pub(super) fn empty_class(&self, class: usize) {
        self.heap.settle(class);
        self.put_back(class, u32::MAX);
        self.return_run(class);
        self.heap.grant(class);
    }

    /// Returns the unused part of the run to its span.
    fn return_run(&self, class: usize) {
        let lane = &self.heap.lanes[class];
        let (bump, end) = (lane.bump.get(), lane.end.get());
        if bump == end {
            return;
        }
        let Some(span) = span_of(bump) else { return };
        lane.bump.set(end);
        lane.spare.add(u64::from(span.return_run(bump, end)));
        self.list_or_retire(span);
    }
}
