//! Gaps: pages of a span in use that hold free blocks only, given back to the system while their neighbours stay.
//!
//! ```text
//!   a block is away  =  it overlaps a page that is gone
//! ```
//!
//! A block that is away is free, carved, and not on the list, which would have to run through it. Its span counts it in `away`.
//! Blocks not yet carved count as carved and free from then on, where the span's pages have old contents from a span before it.
//! Gaps are filled again as runs: lowest block first, touched as they are used.
//!
//! # Safety
//! As for spans: all of this happens under the lock of the heap that owns the span.

use super::descriptor::Span;
use super::pages::{MOST_BLOCKS, Pages, pages, runs};
use crate::base::sizes::SLAB;
use hakmem_os::vm::PAGE;

/// Blocks of a span, one bit each: a kilobyte.
struct Blocks([u64; MOST_BLOCKS.div_ceil(64)]);

impl Blocks {
    fn add(&mut self, block: usize) {
        self.0[block / 64] |= 1 << (block % 64);
    }

    fn has(&self, block: usize) -> bool {
        self.0[block / 64] & 1 << (block % 64) != 0
    }
}

impl Span {
    /// Blocks that are away.
    pub fn away_blocks(&self) -> u32 {
        self.away.get()
    }

    /// Blocks not yet carved, where their pages hold old contents.
    fn uncarved_in_old_pages(&self) -> u32 {
        if self.fresh.get() { 0 } else { self.capacity() - self.carved_blocks() }
    }

    /// Whether as much of it is free as at the last look, and enough to look closer, once.
    pub fn is_quiet(&self) -> bool {
        let free = self.free_blocks() + self.uncarved_in_old_pages();
        let enough = free as usize * self.block_size() >= PAGE;
        let before = self.looked.replace(free);
        if before != free {
            self.tried.set(false);
        }
        enough && before == free && !self.tried.replace(true)
    }

    /// Whether fewer blocks are in use than it has pages, so that some pages hold none, and nobody has looked for these since.
    pub fn is_sparse(&self) -> bool {
        let (free, pages) = (self.free_blocks(), self.slabs() * SLAB / PAGE);
        let enough = free as usize * self.block_size() >= pages * PAGE / 4;
        let few = ((self.carved_blocks() - self.back_blocks()) as usize) < pages;
        enough && few && !self.opening.get() && !(self.tried.get() && self.looked.get() == free)
    }

    /// Opens gaps: takes all blocks off the list that overlap pages of which nothing is in use, and returns these pages, which the
    /// caller gives back before it calls [`opened`](Self::opened). What stays on the list stands there lowest first.
    pub fn open_holes(&self) -> Pages {
        let touched = (self.carved_blocks() + self.uncarved_in_old_pages()) as usize;
        let mut free = Blocks([0; MOST_BLOCKS.div_ceil(64)]);
        for block in self.list() {
            free.add((block - self.base()) / self.block_size());
        }
        for (first, count) in runs(self.gone()) {
            let (from, to) = self.blocks_of(first, count);
            (from..to).for_each(|block| free.add(block));
        }
        (self.carved_blocks() as usize..touched).for_each(|block| free.add(block));
        let mut empty: Pages = 0;
        for page in 0..self.slabs() * SLAB / PAGE {
            let (from, to) = self.blocks_of(page, 1);
            if to <= touched && from < to && (from..to).all(|block| free.has(block)) {
                empty |= 1 << page;
            }
        }
        let new = empty & !self.gone();
        self.tried.set(true);
        if new == 0 {
            self.looked.set(self.free_blocks());
            return 0;
        }
        self.gone.set(empty | self.gone());
        self.carved.set(touched as u32);
        self.opening.set(true);
        self.list.set(0);
        self.free.set(0);
        self.marks.clear();
        let mut away = 0;
        for block in (0..touched).rev().filter(|block| free.has(*block)) {
            self.marks.add(block);
            if self.pages_of(block) & self.gone() != 0 {
                away += 1;
            } else {
                self.link(self.base() + block * self.block_size());
            }
        }
        self.looked.set(self.free_blocks());
        self.away.set(away);
        new
    }

    /// Ends what [`open_holes`](Self::open_holes) began: the pages are gone.
    pub fn opened(&self) {
        self.opening.set(false);
    }

    /// Pages of the gap that [`fill_hole`](Self::fill_hole) would fill.
    pub fn next_hole(&self) -> usize {
        runs(self.gone()).next().map_or(0, |(_, count)| count)
    }

    /// Fills the lowest gap: the blocks that are away because of it are a run from now on, which counts as carved. Their first
    /// address, and the address behind the last.
    pub fn fill_hole(&self) -> (usize, usize) {
        let Some((first, count)) = runs(self.gone()).next() else { return (self.base(), self.base()) };
        let (from, to) = self.blocks_of(first, count);
        self.gone.set(self.gone() & !pages(first, first + count));
        self.away.set(self.away.get() - (to - from) as u32);
        (from..to).for_each(|block| self.marks.remove(block));
        // At its ends are pages with old contents.
        self.fresh.set(false);
        (self.base() + from * self.block_size(), self.base() + to * self.block_size())
    }

    /// Blocks that overlap pages that are gone, found by looking.
    pub fn count_away(&self) -> u32 {
        (0..self.capacity() as usize).filter(|block| self.pages_of(*block) & self.gone() != 0).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::segment;
    use crate::base::sizes::{BLOCK_SIZE, CLASSES, SPAN_SLABS};
    use std::vec::Vec;

    #[test]
    fn gaps_open_around_what_is_in_use_and_fill_again() {
        for class in 0..CLASSES {
            let slabs = SPAN_SLABS[class] as usize;
            let run = segment::map(slabs).expect("memory");
            let span = run.span();
            span.start(run.base(), class, run.zero);
            let (first, end, _) = span.take_run();
            let size = BLOCK_SIZE[class] as usize;
            let blocks: Vec<usize> = (first..end).step_by(size).collect();
            // The first block stays in use, and one in each three pages after it.
            let stays = |at: usize| ((at - first) / size).is_multiple_of((3 * PAGE / size).max(2));
            let pages_of = |at: &usize| span.pages_of((at - first) / size);
            let (in_use, others) = blocks.iter().partition::<Vec<usize>, _>(|at| stays(**at));
            let in_use = in_use.iter().map(pages_of).fold(0, |all, pages| all | pages);
            let expected = others.iter().map(pages_of).fold(0, |all, pages| all | pages) & !in_use;
            for block in blocks.iter().filter(|at| !stays(**at)) {
                // SAFETY: a block of the span that nobody uses.
                unsafe { span.put_closely(*block, &(0..0)) }.expect("it is out");
            }
            assert!(span.is_sparse(), "class {class}");
            let (before, new) = (span.free_blocks(), span.open_holes());
            assert_eq!(new, span.gone());
            assert_eq!(span.free_blocks() + span.away_blocks(), before, "class {class}");
            assert_eq!(span.away_blocks(), span.count_away());
            assert_eq!(new, expected, "all pages of which nothing is in use, and no others, class {class}");
            // Of blocks a little larger than a page, every other one in use, none has a page to itself.
            assert_eq!(new == 0, size == PAGE + PAGE / 32, "class {class}");
            assert!(!span.has_hole(), "not before the pages are gone");
            span.opened();
            assert!(!span.is_sparse() && !span.is_quiet(), "once is enough");
            let mut back: Vec<usize> = span.list().collect();
            while span.has_hole() {
                let (from, to) = span.fill_hole();
                back.extend((from..to).step_by(size));
            }
            back.sort_unstable();
            let expected: Vec<usize> = blocks.iter().copied().filter(|at| !stays(*at)).collect();
            assert_eq!(back, expected, "each block once, class {class}");
            assert_eq!((span.gone(), span.away_blocks()), (0, 0));
            run.release();
        }
    }

    #[test]
    fn what_was_not_carved_is_a_gap_only_where_its_pages_are_old() {
        for class in 0..CLASSES {
            let slabs = SPAN_SLABS[class] as usize;
            for fresh in [true, false] {
                let run = segment::map(slabs).expect("memory");
                let span = run.span();
                span.start(run.base(), class, fresh);
                let (first, end, _) = span.take_run();
                let size = BLOCK_SIZE[class] as usize;
                let spare = span.return_run(first + size, end);
                let new = span.open_holes();
                assert_eq!(new == 0, fresh, "class {class}");
                assert_eq!(new & span.pages_of(0), 0, "what is in use stays");
                span.opened();
                let room = span.back_blocks() + span.capacity() - span.carved_blocks();
                assert_eq!((room, span.away_blocks()), (spare, span.count_away()));
                let mut back: Vec<usize> = span.list().collect();
                while span.has_hole() {
                    let (from, to) = span.fill_hole();
                    back.extend((from..to).step_by(size));
                }
                back.sort_unstable();
                let expected: Vec<usize> = (first + size..end).step_by(size).collect();
                assert_eq!(back, if fresh { Vec::new() } else { expected }, "each block once, class {class}");
                run.release();
            }
        }
    }
}
