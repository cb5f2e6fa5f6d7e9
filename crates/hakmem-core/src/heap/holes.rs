//! Gaps in spans: pages between blocks in use that hold nothing, given back by who looks after idle memory.
//!
//! A span that one block keeps from being empty costs a page then, and not 64 KiB or more. Only spans that nobody allocates from
//! or frees to for the decay time are opened, filling a gap again costing a fault for each page; and spans that hold little while
//! their heap maps more memory, which is where a program turns to other sizes.
//!
//! # Safety
//! A span is touched under the lock of the heap that the page map names, looked up again under it.

use super::entry::{anchor_in, is_small};
use super::layout::{Heap, Locked};
use crate::backend::availability;
use crate::backend::segment::{self, Segment};
use crate::backend::span::Span;
use crate::backend::span::{Pages, runs};
use crate::base::accounting;
use crate::base::sizes::{BLOCK_SIZE, CLASSES, SEGMENT, SLAB, SLABS};
use crate::map::page_map;
use hakmem_os::atomic::{AtomicUsize, Ordering::Relaxed};
use hakmem_os::vm::PAGE;

/// Segments that a pass looks at, going on where the last one ended: a look takes the lock of each span's heap.
const IN_A_PASS: usize = 256;
/// The least that a heap has in spans, in bytes, before it makes up for growth; and the part of all segments that it is.
const LEAST_SPARE: usize = 16 << 20;
const SPARE_PART: usize = 4;
/// Spans that are opened in one go.
const AT_ONCE: usize = 16;
static NEXT: AtomicUsize = AtomicUsize::new(1);
/// Spans whose pages are on their way to the system.
static OPENINGS: AtomicUsize = AtomicUsize::new(0);

/// How many spans have pages on their way to the system; none from then on. In a child just forked.
pub(super) fn forget_openings() -> usize {
    OPENINGS.swap(0, Relaxed)
}

/// Opens gaps in spans that did not change since the last look at them, or in all.
pub fn open_holes(everywhere: bool) {
    let last = segment::last_number();
    let (first, count) = if everywhere { (1, last) } else { (NEXT.load(Relaxed), IN_A_PASS.min(last)) };
    if !everywhere {
        NEXT.store(if first + count > last { 1 } else { first + count }, Relaxed);
    }
    for segment in (first..first + count).filter_map(segment::number) {
        let state = segment.state();
        for slab in (0..SLABS).filter(|slab| state.free & 1 << slab == 0) {
            let entry = page_map::entry(segment.base() + slab * SLAB);
            if is_small(entry) {
                Heap::at_anchor(anchor_in(entry)).open_holes_in(segment, slab, entry, everywhere);
            }
        }
    }
}

impl Heap {
    /// Opens gaps in the span that begins at this slab, if one does and it is this heap's.
    fn open_holes_in(&self, segment: &'static Segment, slab: usize, entry: usize, everywhere: bool) {
        let (span, base) = (&segment.spans[slab], segment.base() + slab * SLAB);
        let Some(locked) = self.try_lock() else { return };
        // Who empties a span or takes it does so under this lock.
        let is_its = page_map::entry(base) == entry && span.back() == 0 && span.base() == base;
        if !is_its || span.is_empty() || span.is_opening() || !(everywhere || span.is_quiet()) {
            return;
        }
        // A huge page is not split for a little.
        if segment.is_huge() && !everywhere && span.back_blocks() * 2 < span.capacity() {
            return;
        }
        let pages = locked.open_holes(span);
        if pages != 0 {
            drop(locked);
            self.purge_holes(&[(span, pages)]);
        }
    }

    /// Gives back the pages of spans of this heap in which gaps were begun, and ends that. Of some there may be none.
    fn purge_holes(&self, begun: &[(&'static Span, Pages)]) {
        for (span, pages) in begun {
            let Some(segment) = segment::containing(span.base()) else { continue };
            for (first, count) in runs(*pages) {
                segment.purge_range(span.base() + first * PAGE, count * PAGE);
            }
        }
        let locked = self.lock_as_visitor();
        for (span, _) in begun.iter().filter(|(_, pages)| *pages != 0) {
            span.opened();
            OPENINGS.fetch_sub(1, Relaxed);
            locked.list_or_retire(span);
        }
    }

    /// Makes up for a segment that this heap had to map where its spans hold much that is free: gives as many bytes of that
    /// back, if pages can be found of which nothing is in use. So what goes back, and may be touched again, is about what the
    /// process grew by. By the owner.
    pub(super) fn make_up_for_growth(&self) {
        let spare = |class: usize| self.lanes[class].spare.get() as usize * BLOCK_SIZE[class] as usize;
        if (0..CLASSES).map(spare).sum::<usize>() < LEAST_SPARE.max(availability::mapped() * SEGMENT / SPARE_PART) {
            return;
        }
        let mut pages = 0;
        for class in (0..CLASSES).rev() {
            while pages < SEGMENT / PAGE {
                let locked = self.lock_as_owner();
                let lane = &self.lanes[class];
                let mut sparse = lane.partial.iter().filter(|span| span.is_sparse());
                let Some(first) = sparse.next() else { break };
                let mut begun = [(first, 0); AT_ONCE];
                begun[0].1 = locked.open_holes(first);
                for (place, span) in begun[1..].iter_mut().zip(sparse) {
                    *place = (span, locked.open_holes(span));
                }
                drop(locked);
                pages += begun.iter().map(|(_, pages)| pages.count_ones() as usize).sum::<usize>();
                self.purge_holes(&begun);
            }
        }
    }
}

impl Locked<'_> {
    /// Begins gaps in a span of this heap. The caller gives their pages back when the lock is free, and ends it.
    fn open_holes(&self, span: &'static Span) -> Pages {
        OPENINGS.fetch_add(1, Relaxed);
        let pages = span.open_holes();
        if pages == 0 {
            OPENINGS.fetch_sub(1, Relaxed);
        } else {
            let count = pages.count_ones() as usize;
            self.heap.gone.add(count as u64);
            accounting::uncharge(count * PAGE);
            if !span.has_room() {
                self.heap.lanes[span.class()].partial.remove(span);
            }
        }
        pages
    }

    /// Takes the blocks of a gap as the run of `class`; where the hard limit is reached, nothing.
    pub(super) fn fill_hole(&self, class: usize, span: &'static Span) {
        let lane = &self.heap.lanes[class];
        let pages = span.next_hole();
        if !accounting::charge(pages * PAGE) {
            return;
        }
        accounting::note_use();
        let (bump, end) = span.fill_hole();
        self.heap.gone.sub(pages as u64);
        lane.spare.sub(((end - bump) / BLOCK_SIZE[class] as usize) as u64);
        lane.bump.set(bump);
        lane.end.set(end);
        lane.fresh.set(false);
    }
}
