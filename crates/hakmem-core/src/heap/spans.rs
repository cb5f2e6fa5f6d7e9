//! Blocks go back to their spans, and a span whose blocks are all back is retired. Under the lock of the heap that owns the span.
//!
//! # Safety
//! Blocks that go to a span are free.

use super::counters::count_no_free;
use super::layout::Locked;
use crate::backend::segment::span_of;
use crate::backend::span::{Refusal, Span};
use crate::base::accounting;
use hakmem_os::vm::PAGE;

impl Locked<'_> {
    /// Puts a block of `class` that came in back into its span. False where what came in leads on no further.
    ///
    /// # Safety
    /// A free block of this heap.
    pub(super) unsafe fn put_received(&self, block: usize, class: usize) -> bool {
        // SAFETY: the caller's.
        match unsafe { self.put(block) } {
            Ok(()) => {
                self.heap.lanes[class].received.add(1);
                true
            }
            Err(leads_on) => {
                count_no_free(class);
                leads_on
            }
        }
    }

    /// Puts a block back into its span. Where the span refuses it, that is named, and the answer says whether the link in the block,
    /// read before, still leads on.
    ///
    /// # Safety
    /// A free block of this heap.
    #[inline]
    pub(super) unsafe fn put(&self, block: usize) -> Result<(), bool> {
        let Some(span) = span_of(block) else { return Ok(()) };
        let lane = &self.heap.lanes[span.class()];
        // SAFETY: a free block of this span, a list of one.
        if unsafe { span.put_first_of(block, 1, lane.bump.get()) }.0 != 0 {
            lane.spare.add(1);
            self.list_or_retire(span);
        // SAFETY: as above.
        } else if let Err(refusal) = unsafe { self.put_closely(span, block) } {
            let leads_on = refusal != Refusal::Back || !span.is_linked(block);
            if !span.list_is_whole() {
                span.relist();
            }
            return Err(leads_on);
        }
        Ok(())
    }

    /// Puts a block back into its span that is not plainly right to put there. Where it is refused, that is named.
    ///
    /// # Safety
    /// A block of this span, which is free if it is not refused.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn put_closely(&self, span: &'static Span, block: usize) -> Result<(), Refusal> {
        let lane = &self.heap.lanes[span.class()];
        // SAFETY: the caller's.
        match unsafe { span.put_closely(block, &(lane.bump.get()..lane.end.get())) } {
            Ok(()) => {
                lane.spare.add(1);
                self.list_or_retire(span);
                Ok(())
            }
            Err(refusal) => {
                self.refused(span, block, refusal);
                Err(refusal)
            }
        }
    }

    /// Lists a span that got something back, or retires it if it is empty.
    #[inline]
    pub(super) fn list_or_retire(&self, span: &'static Span) {
        let lane = &self.heap.lanes[span.class()];
        if span.is_empty() {
            lane.partial.remove(span);
            lane.spans_retired.add(1);
            lane.spare.sub(u64::from(span.capacity()));
            self.forget_holes(span);
            self.retired.push(span);
        } else if !span.is_listed() {
            lane.partial.push(span);
        }
    }

    /// Counts the pages of a span that is retired as what its slabs are: in use until the decay.
    fn forget_holes(&self, span: &'static Span) {
        let pages = span.gone().count_ones();
        if pages != 0 {
            self.heap.gone.sub(u64::from(pages));
            accounting::charge_beyond_limits(pages as usize * PAGE);
        }
    }
}
