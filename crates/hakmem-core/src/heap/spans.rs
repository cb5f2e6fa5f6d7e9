//! Puts blocks back into their spans, and retires a span whose blocks are all back; under the lock of the heap that
//! owns the span.
//!
//! # Safety
//! Blocks that go to a span are free.

use super::counters::uncount_stray_free;
use super::layout::Locked;
use crate::backend::segment::span_of;
use crate::backend::span::{Refusal, Span};
use crate::base::accounting;
use hakmem_os::vm::PAGE;

impl Locked<'_> {
    /// Puts a received block of `class` back into its span. Returns whether the block's link, which the caller read
    /// before, still leads to the next received block.
    ///
    /// # Safety
    /// `block` is a free block of this heap.
    pub(super) unsafe fn put_received(&self, block: usize, class: usize) -> bool {
        // SAFETY: guaranteed by the caller.
        match unsafe { self.put(block) } {
            Ok(()) => {
                self.heap.lanes[class].received.add(1);
                true
            }
            Err(leads_on) => {
                uncount_stray_free(class);
                leads_on
            }
        }
    }

    /// Puts a block back into its span. If the span refuses the block, the misuse is noted for a report, and the error
    /// says whether the block's link, which the caller read before, still leads to the next block of the caller's list.
    ///
    /// # Safety
    /// `block` is a free block of this heap.
    #[inline]
    pub(super) unsafe fn put(&self, block: usize) -> Result<(), bool> {
        let Some(span) = span_of(block) else { return Ok(()) };
        let lane = &self.heap.lanes[span.class()];
        // SAFETY: this is a free block of this span; the call takes at most one.
        if unsafe { span.return_batch(block, 1, lane.bump.get()) }.0 != 0 {
            lane.spare.add(1);
            self.list_or_retire(span);
        // SAFETY: as above.
        } else if let Err(refusal) = unsafe { self.put_checked(span, block) } {
            let leads_on = refusal != Refusal::AlreadyFree || !span.link_is_intact(block);
            if !span.list_is_intact() {
                span.rebuild_list();
            }
            return Err(leads_on);
        }
        Ok(())
    }

    /// Puts a block back into its span after all checks, for a block that the batch call did not take. If the span
    /// refuses the block, the misuse is noted for a report.
    ///
    /// # Safety
    /// `block` is a block of this span, and is free if it is not refused.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn put_checked(&self, span: &'static Span, block: usize) -> Result<(), Refusal> {
        let lane = &self.heap.lanes[span.class()];
        // SAFETY: guaranteed by the caller.
        match unsafe { span.return_checked(block, &(lane.bump.get()..lane.end.get())) } {
            Ok(()) => {
                lane.spare.add(1);
                self.list_or_retire(span);
                Ok(())
            }
            Err(refusal) => {
                self.note_refusal(span, block, refusal);
                Err(refusal)
            }
        }
    }

    /// Retires a span if it is empty, and otherwise lists it, since it has blocks to give.
    #[inline]
    pub(super) fn list_or_retire(&self, span: &'static Span) {
        let lane = &self.heap.lanes[span.class()];
        if span.is_empty() {
            lane.partial.remove(span);
            lane.spans_retired.add(1);
            lane.spare.sub(u64::from(span.capacity()));
            self.charge_holes_of_retired(span);
            self.retired.push(span);
        } else if !span.is_listed() {
            lane.partial.push(span);
        }
    }

    /// Charges the pages in holes of a retired span again: its slabs count as resident until they are purged.
    fn charge_holes_of_retired(&self, span: &'static Span) {
        let pages = span.purged_pages().count_ones();
        if pages != 0 {
            self.heap.pages_in_holes.sub(u64::from(pages));
            accounting::charge_beyond_limits(pages as usize * PAGE);
        }
    }
}
