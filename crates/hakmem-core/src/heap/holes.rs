//! Opening and filling holes in spans: pages without a block in use, between blocks that are in use, go back to the
//! system.
//!
//! A span with a single block in use then costs one page instead of 64 KiB or more. Filling a hole again costs a page
//! fault for each page. So holes are opened only in spans from which no block was allocated and to which none was freed
//! for the decay time; and in sparse spans of a heap that maps more memory, since the program then turns to other
//! sizes.
//!
//! # Safety
//! A span is touched under the lock of the heap that the page map names, and the page map is read again under that
//! lock.

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

/// Segments that a pass examines, starting where the last pass ended. Examining a span takes the lock of its heap.
const SEGMENTS_PER_PASS: usize = 256;
/// A heap that grows opens holes only if its spans have at least this many spare bytes, and at least one part in
/// [`SPARE_PART`] of all mapped segments.
const LEAST_SPARE_BYTES: usize = 16 << 20;
const SPARE_PART: usize = 4;
/// Spans that are opened under one lock.
const SPANS_PER_BATCH: usize = 16;
static NEXT_SEGMENT: AtomicUsize = AtomicUsize::new(1);
/// Number of spans whose holes are being opened: their pages are about to be purged.
static OPENINGS: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of spans whose holes were being opened at the fork, and sets it to 0. For a child process.
pub(super) fn take_openings() -> usize {
    OPENINGS.swap(0, Relaxed)
}

/// Opens holes: with `everywhere` in all spans, otherwise in those spans that did not change since they were last
/// examined.
pub fn open_holes(everywhere: bool) {
    let last = segment::last_number();
    let (first, count) = if everywhere { (1, last) } else { (NEXT_SEGMENT.load(Relaxed), SEGMENTS_PER_PASS.min(last)) };
    if !everywhere {
        NEXT_SEGMENT.store(if first + count > last { 1 } else { first + count }, Relaxed);
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
    /// Opens holes in the span that begins at this slab, if it belongs to this heap.
    fn open_holes_in(&self, segment: &'static Segment, slab: usize, entry: usize, everywhere: bool) {
        let (span, base) = (&segment.spans[slab], segment.base() + slab * SLAB);
        let Some(locked) = self.try_lock() else { return };
        // Spans of this heap are taken and retired under this lock, so the page map is read again here.
        let is_current = page_map::entry(base) == entry && span.slabs_before() == 0 && span.base() == base;
        if !is_current || span.is_empty() || span.is_purging() || !(everywhere || span.is_quiet()) {
            return;
        }
        // A huge page is split only if at least half of the span's blocks are free.
        if segment.is_huge() && !everywhere && span.returned_blocks() * 2 < span.capacity() {
            return;
        }
        let pages = locked.begin_holes(span);
        if pages != 0 {
            drop(locked);
            self.purge_holes(&[(span, pages)]);
        }
    }

    /// Purges the pages of spans of this heap in which the opening of holes was begun, and finishes the opening. A span
    /// may come with no pages.
    fn purge_holes(&self, begun: &[(&'static Span, Pages)]) {
        for (span, pages) in begun {
            let Some(segment) = segment::containing(span.base()) else { continue };
            for (first, count) in runs(*pages) {
                segment.purge_range(span.base() + first * PAGE, count * PAGE);
            }
        }
        let locked = self.lock_as_visitor();
        for (span, _) in begun.iter().filter(|(_, pages)| *pages != 0) {
            span.end_purge();
            OPENINGS.fetch_sub(1, Relaxed);
            locked.list_or_retire(span);
        }
    }

    /// Opens holes when this heap had to map a segment although its spans have many spare bytes: purges about as many
    /// bytes as a segment has, as far as pages without a block in use are found. So the bytes that go back, and may be
    /// touched again, are about those by which the process grew. Called by the owner.
    pub(super) fn open_holes_for_growth(&self) {
        let spare = |class: usize| self.lanes[class].spare.get() as usize * BLOCK_SIZE[class] as usize;
        if (0..CLASSES).map(spare).sum::<usize>() < LEAST_SPARE_BYTES.max(availability::mapped() * SEGMENT / SPARE_PART)
        {
            return;
        }
        let mut pages = 0;
        for class in (0..CLASSES).rev() {
            while pages < SEGMENT / PAGE {
                let locked = self.lock_as_owner();
                let lane = &self.lanes[class];
                let mut sparse = lane.partial.iter().filter(|span| span.is_sparse());
                let Some(first) = sparse.next() else { break };
                let mut begun = [(first, 0); SPANS_PER_BATCH];
                begun[0].1 = locked.begin_holes(first);
                for (place, span) in begun[1..].iter_mut().zip(sparse) {
                    *place = (span, locked.begin_holes(span));
                }
                drop(locked);
                pages += begun.iter().map(|(_, pages)| pages.count_ones() as usize).sum::<usize>();
                self.purge_holes(&begun);
            }
        }
    }
}

impl Locked<'_> {
    /// Begins to open holes in a span of this heap, and returns their pages. The caller releases the lock, purges the
    /// pages, and finishes the opening.
    fn begin_holes(&self, span: &'static Span) -> Pages {
        OPENINGS.fetch_add(1, Relaxed);
        let pages = span.open_holes();
        if pages == 0 {
            OPENINGS.fetch_sub(1, Relaxed);
        } else {
            let count = pages.count_ones() as usize;
            self.heap.pages_in_holes.add(count as u64);
            // Before the purge, so that the sums fit the state of the span. If the kernel refuses the purge, as for locked
            // memory, the pages are not charged again.
            accounting::uncharge(count * PAGE);
            if !span.has_room() {
                self.heap.lanes[span.class()].partial.remove(span);
            }
        }
        pages
    }

    /// Takes the blocks of a hole of `span` as the run of `class`. Does nothing if the hard limit is reached.
    pub(super) fn fill_hole(&self, class: usize, span: &'static Span) {
        let lane = &self.heap.lanes[class];
        let pages = span.next_hole();
        if !accounting::charge(pages * PAGE) {
            return;
        }
        accounting::note_use();
        let (bump, end) = span.fill_hole();
        self.heap.pages_in_holes.sub(pages as u64);
        lane.spare.sub(((end - bump) / BLOCK_SIZE[class] as usize) as u64);
        lane.bump.set(bump);
        lane.end.set(end);
        lane.fresh.set(false);
    }
}
