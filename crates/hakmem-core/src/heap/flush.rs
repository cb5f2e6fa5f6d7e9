//! What a heap keeps at hand goes back: blocks of bins and runs to their spans, medium blocks to their segments, blocks of other
//! heaps to these.
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
    /// Makes room in a settled bin if it holds its limit; whether it did.
    pub(super) fn flush_above_limit(&self, class: usize) -> bool {
        let lane = &self.lanes[class];
        let full = lane.held.get() >= lane.limit.get();
        if full {
            lane.flushed.set(true);
            self.flush(class, (lane.held.get() - lane.limit.get() + lane.limit.get() / 4).max(1));
        }
        full
    }

    /// Gives the latest `count` blocks of a settled bin back to their spans: those that are in the cache, where the oldest would
    /// be a miss each.
    fn flush(&self, class: usize, count: u32) {
        self.lock_as_owner().put_back(class, count);
    }

    /// Gives everything this heap has at hand back to the spans, and empty spans to their segments. By its owner.
    pub(super) fn flush_all(&self) {
        self.send_all();
        self.lock_as_owner().empty();
    }
}

impl Locked<'_> {
    /// Puts blocks of a settled bin back into their spans, latest first, `most` at most. By the owner, or by who acts as the owner.
    pub(super) fn put_back(&self, class: usize, most: u32) {
        self.put_back_list(class, self.heap.bins[class].head.swap(0, Relaxed), most);
    }

    /// The same for a list that was taken off the bin, and is the whole of it.
    pub(super) fn put_back_list(&self, class: usize, list: usize, most: u32) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        let (mut block, mut taken, mut put, mut astray) = (list, 0_u32, 0_u32, false);
        let entry = entry_for(self.heap.anchor(), class);
        while block != 0 && taken < most {
            // Where a span was retired since, the block was freed twice.
            let span = span_of(block).filter(|_| page_map::entry(block) == entry);
            let Some(span) = span else {
                self.noticed.note(block, misuse::wrong_with(block));
                block = 0;
                break;
            };
            // What was freed together often lies together: the span is looked up, and looked at, once for what shares it.
            // SAFETY: blocks of the bin, which are free; a block in a slab of a span is the span's.
            let (count, next) = unsafe { span.put_first_of(block, most - taken, lane.bump.get()) };
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
            block = match unsafe { self.put_closely(span, block) } {
                Ok(()) => {
                    put += 1;
                    next
                }
                Err(refusal) => {
                    // Either it was linked into the bin while the span had it, and the span's list leads astray; or the bin led in a
                    // circle, and the block's link is the span's now.
                    astray |= refusal == Refusal::Back;
                    if refusal == Refusal::Back && span.is_linked(block) { 0 } else { next }
                }
            };
        }
        lane.held.set(lane.held.get().wrapping_sub(put));
        if block == 0 {
            self.heap.count_lost(class, 0);
        } else {
            self.heap.count_lost(class, lane.held.get().wrapping_sub(taken - put));
            bin.append(block);
        }
        if astray {
            self.mend(class);
        }
    }

    /// Gives everything the heap has at hand back to its spans. By its owner, or by who acts as the owner.
    pub(crate) fn empty(&self) {
        self.heap.sell_all();
        (0..CLASSES).filter(|class| self.heap.spans_held(*class) != 0).for_each(|class| self.empty_class(class));
        self.empty_medium_cache();
        self.drain_to_spans();
    }

    /// The same for one class.
    pub(super) fn empty_class(&self, class: usize) {
        self.heap.settle(class);
        self.put_back(class, u32::MAX);
        self.return_run(class);
        self.heap.grant(class);
    }

    /// Gives the unused part of a run back to its span.
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
