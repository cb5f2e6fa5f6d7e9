//! Holes: pages of a span in use that hold only free blocks, and that were purged while other blocks of the span are in
//! use.
//!
//! ```text
//!   a block is in a hole  =  it overlaps a purged page
//! ```
//!
//! A block in a hole is free and carved, and not on the list, since a link in it would bring its page in again. Where
//! the span's pages have old contents from an earlier span, opening holes makes the uncarved blocks count as carved and
//! free. A hole is filled as a run: lowest block first, and a page is touched when its first block is used.
//!
//! For example, blocks of 3 KiB and pages of 4 KiB, where blocks 0 and 6 are in use and all others were returned:
//!
//! ```text
//!   page  |      0        |      1        |      2        |      3        |      4        |
//!   block |     0     |     1     |     2     |     3     |     4     |     5     |    6
//!         |  in use   | returned  | returned  | returned  | returned  | returned  | in use
//! ```
//!
//! The purged pages are 1 to 3. Blocks 1 to 5 overlap them, so these five are in holes, and the list is empty. Filling
//! the hole gives a run of the same five blocks.
//!
//! # Safety
//! As for spans: every function here is called under the lock of the heap that owns the span.

use super::descriptor::Span;
use super::pages::{MOST_BLOCKS, Pages, pages, runs};
use crate::base::sizes::SLAB;
use hakmem_os::vm::PAGE;

/// A set of blocks of a span, one bit each: a kilobyte.
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
    /// Blocks in holes.
    pub fn blocks_in_holes(&self) -> u32 {
        self.blocks_in_holes.get()
    }

    /// Blocks that are not yet carved, where their pages hold old contents; else 0.
    fn uncarved_in_old_pages(&self) -> u32 {
        if self.fresh.get() { 0 } else { self.capacity() - self.carved_blocks() }
    }

    /// Whether the number of free blocks is the same as at the last call, and the free blocks fill a page at least.
    /// Returns true once for each such number.
    pub fn is_quiet(&self) -> bool {
        let free = self.free_blocks() + self.uncarved_in_old_pages();
        let enough = free as usize * self.block_size() >= PAGE;
        let before = self.free_at_last_look.replace(free);
        if before != free {
            self.searched.set(false);
        }
        enough && before == free && !self.searched.replace(true)
    }

    /// Whether fewer blocks are in use than the span has pages, so that some pages hold none, and the span was not
    /// searched for these since its number of free blocks changed.
    pub fn is_sparse(&self) -> bool {
        let (free, pages) = (self.free_blocks(), self.slabs() * SLAB / PAGE);
        let enough = free as usize * self.block_size() >= pages * PAGE / 4;
        let few = ((self.carved_blocks() - self.returned_blocks()) as usize) < pages;
        enough && few && !self.purging.get() && !(self.searched.get() && self.free_at_last_look.get() == free)
    }

    /// Opens holes: takes all blocks off the list that overlap pages without a block in use, and returns these pages.
    /// The caller purges the pages and then calls [`end_purge`](Self::end_purge). The remaining blocks stand on the
    /// list in order of address.
    pub fn open_holes(&self) -> Pages {
        let touched = (self.carved_blocks() + self.uncarved_in_old_pages()) as usize;
        let mut free = Blocks([0; MOST_BLOCKS.div_ceil(64)]);
        for block in self.list() {
            free.add((block - self.base()) / self.block_size());
        }
        for (first, count) in runs(self.purged_pages()) {
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
        let new = empty & !self.purged_pages();
        self.searched.set(true);
        if new == 0 {
            self.free_at_last_look.set(self.free_blocks());
            return 0;
        }
        self.purged.set(empty | self.purged_pages());
        self.carved.set(touched as u32);
        self.purging.set(true);
        self.list.set(0);
        self.free.set(0);
        self.marks.clear();
        let mut blocks_in_holes = 0;
        for block in (0..touched).rev().filter(|block| free.has(*block)) {
            self.marks.add(block);
            if self.pages_of(block) & self.purged_pages() != 0 {
                blocks_in_holes += 1;
            } else {
                self.link(self.base() + block * self.block_size());
            }
        }
        self.free_at_last_look.set(self.free_blocks());
        self.blocks_in_holes.set(blocks_in_holes);
        new
    }

    /// Notes that the pages that [`open_holes`](Self::open_holes) returned are purged.
    pub fn end_purge(&self) {
        self.purging.set(false);
    }

    /// Returns how many pages the hole has that [`fill_hole`](Self::fill_hole) would fill; 0 if there is none.
    pub fn next_hole(&self) -> usize {
        runs(self.purged_pages()).next().map_or(0, |(_, count)| count)
    }

    /// Fills the lowest hole: its blocks become a run, which counts as carved. Returns the address of the first block,
    /// and the address behind the last.
    pub fn fill_hole(&self) -> (usize, usize) {
        let Some((first, count)) = runs(self.purged_pages()).next() else { return (self.base(), self.base()) };
        let (from, to) = self.blocks_of(first, count);
        self.purged.set(self.purged_pages() & !pages(first, first + count));
        self.blocks_in_holes.set(self.blocks_in_holes.get() - (to - from) as u32);
        (from..to).for_each(|block| self.marks.remove(block));
        // The pages at the ends of the hole have old contents.
        self.fresh.set(false);
        (self.base() + from * self.block_size(), self.base() + to * self.block_size())
    }

    /// Counts the blocks that overlap purged pages, block by block.
    pub fn count_blocks_in_holes(&self) -> u32 {
        (0..self.capacity() as usize).filter(|block| self.pages_of(*block) & self.purged_pages() != 0).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::segment;
    use crate::base::sizes::{BLOCK_SIZE, CLASSES, SPAN_SLABS};
    use std::vec::Vec;

    #[test]
    fn holes_open_around_blocks_in_use_and_fill_again() {
        for class in 0..CLASSES {
            let slabs = SPAN_SLABS[class] as usize;
            let run = segment::map(slabs).expect("memory");
            let span = run.span();
            span.start(run.base(), class, run.zero);
            let (first, end, _) = span.take_run();
            let size = BLOCK_SIZE[class] as usize;
            let blocks: Vec<usize> = (first..end).step_by(size).collect();
            // The first block stays in use, and then one block in every three pages.
            let stays = |at: usize| ((at - first) / size).is_multiple_of((3 * PAGE / size).max(2));
            let pages_of = |at: &usize| span.pages_of((at - first) / size);
            let (in_use, others) = blocks.iter().partition::<Vec<usize>, _>(|at| stays(**at));
            let in_use = in_use.iter().map(pages_of).fold(0, |all, pages| all | pages);
            let expected = others.iter().map(pages_of).fold(0, |all, pages| all | pages) & !in_use;
            for block in blocks.iter().filter(|at| !stays(**at)) {
                // SAFETY: a block of this span that is not used any more.
                unsafe { span.return_checked(*block, &(0..0)) }.expect("it is in use");
            }
            assert!(span.is_sparse(), "class {class}");
            let (before, new) = (span.free_blocks(), span.open_holes());
            assert_eq!(new, span.purged_pages());
            assert_eq!(span.free_blocks() + span.blocks_in_holes(), before, "class {class}");
            assert_eq!(span.blocks_in_holes(), span.count_blocks_in_holes());
            assert_eq!(new, expected, "all pages without a block in use, and no others, class {class}");
            // Where every other block is in use and blocks are a little larger than a page, no page holds free blocks
            // only.
            assert_eq!(new == 0, size == PAGE + PAGE / 32, "class {class}");
            assert!(!span.has_hole(), "not before the purge has ended");
            span.end_purge();
            assert!(!span.is_sparse() && !span.is_quiet(), "once is enough");
            let mut back: Vec<usize> = span.list().collect();
            while span.has_hole() {
                let (from, to) = span.fill_hole();
                back.extend((from..to).step_by(size));
            }
            back.sort_unstable();
            let expected: Vec<usize> = blocks.iter().copied().filter(|at| !stays(*at)).collect();
            assert_eq!(back, expected, "each block once, class {class}");
            assert_eq!((span.purged_pages(), span.blocks_in_holes()), (0, 0));
            run.release();
        }
    }

    #[test]
    fn uncarved_blocks_are_in_holes_only_where_their_pages_are_old() {
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
                assert_eq!(new & span.pages_of(0), 0, "the page of the block in use stays");
                span.end_purge();
                let room = span.returned_blocks() + span.capacity() - span.carved_blocks();
                assert_eq!((room, span.blocks_in_holes()), (spare, span.count_blocks_in_holes()));
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
