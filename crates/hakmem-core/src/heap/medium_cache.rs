//! The shelf: medium blocks that a thread freed and keeps at hand, by their number of slabs.
//!
//! To claim slabs and to give them back changes words that all threads share. A block on the shelf stays claimed, only the page
//! map says that it is free, so taking it down again changes nothing but this heap. Whoever frees a block keeps it, whoever
//! allocated it.
//!
//! ```text
//!   bytes  =  sum over the blocks on the shelf of their slabs  <=  what it may hold, after each free
//! ```
//!
//! It may hold a share of what the thread has of medium blocks, so that the shelf never costs much beside them. Who must leave
//! is one of which there are most: with sizes at random that misses least. A shelf that was not used from one purge pass to
//! the next is cleared.
//!
//! # Safety
//! The shelf is its owner's, like the bins, or whose who acts as the owner.

use super::layout::{Big, Heap, Locked, MEDIUM_ROWS, MediumCache, MediumRow};
use super::registry;
use crate::backend::medium;
use crate::backend::span::Span;
use crate::base::sizes::SLAB;
use crate::policy;

/// What any shelf may hold, in bytes.
const LEAST: usize = 256 << 10;
/// What a shelf may hold of the medium blocks that its thread allocated and did not free: one part in so many.
const SHARE: usize = 16;
impl MediumRow {
    fn blocks(&self) -> impl Iterator<Item = &'static Span> {
        core::iter::successors(self.first.get(), |span| span.below())
    }
}

impl MediumCache {
    /// Bytes of the blocks on it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The blocks on it, each with its number of slabs.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (usize, &'static Span)> {
        self.rows.iter().zip(1..).flat_map(|(row, slabs)| row.blocks().map(move |span| (slabs, span)))
    }

    /// Whether every row is as long as it is counted to be.
    pub(crate) fn is_counted(&self) -> bool {
        self.rows.iter().all(|row| row.blocks().count() == row.count.get() as usize)
    }

    fn take(&self, slabs: usize) -> Option<&'static Span> {
        let row = &self.rows[slabs - 1];
        let span = row.first.get()?;
        row.first.set(span.below());
        row.count.set(row.count.get().wrapping_sub(1));
        self.bytes.sub((slabs * SLAB) as u64);
        Some(span)
    }

    fn put(&self, span: &'static Span) {
        let row = &self.rows[span.slabs() - 1];
        span.set_below(row.first.get());
        row.first.set(Some(span));
        row.count.set(row.count.get().wrapping_add(1));
        self.bytes.add((span.slabs() * SLAB) as u64);
    }

    /// Takes one of those of which there are most.
    fn take_of_most(&self) -> Option<&'static Span> {
        let slabs = (1..=MEDIUM_ROWS).max_by_key(|slabs| self.rows[slabs - 1].count.get())?;
        self.take(slabs)
    }

    /// Whether this block is on it.
    pub(super) fn has(&self, span: &Span) -> bool {
        self.blocks().any(|(_, other)| core::ptr::eq(other, span))
    }

    /// Makes it empty, in a child just forked, where the owner vanished at any moment. Its blocks are released by what the page
    /// map says of them.
    pub(super) fn forget(&self) {
        for row in &self.rows {
            row.first.set(None);
            row.count.set(0);
        }
        self.bytes.sub(self.bytes.get());
    }
}

impl Heap {
    /// What the shelf may hold, in bytes.
    fn most_cached(&self) -> usize {
        // A thread that frees what others allocated has less than nothing.
        let has = (self.tallies[Big::Medium as usize].bytes.get() as isize).max(0) as usize;
        (has / SHARE).max(LEAST).min(policy::current().cache_total / registry::owned().max(1))
    }

    /// Allocates a medium block of `size` bytes; the flag says whether it is zero.
    pub(super) fn allocate_medium(&self, size: usize) -> Option<(usize, bool)> {
        self.medium_cache.used.set(true);
        if let Some(span) = self.medium_cache.take(medium::slabs_for(size)) {
            medium::take_down(span, size);
            return Some((span.base(), false));
        }
        medium::allocate(size)
    }

    /// Frees the medium block at `address`; its size, or `None` if none begins there.
    pub(super) fn free_medium(&self, address: usize) -> Option<usize> {
        let span = medium::at(address)?;
        let bytes = span.bytes();
        let more = span.slabs() * SLAB;
        let most = self.most_cached();
        self.medium_cache.used.set(true);
        let stays = more <= most;
        let room = if stays { most - more } else { most };
        while self.medium_cache.bytes() as usize > room
            && let Some(other) = self.medium_cache.take_of_most()
        {
            medium::release(other);
        }
        if stays {
            medium::put_away(span);
            self.medium_cache.put(span);
        } else {
            medium::release(span);
        }
        Some(bytes)
    }

    fn flush_medium_cache(&self) {
        for slabs in 1..=MEDIUM_ROWS {
            while let Some(span) = self.medium_cache.take(slabs) {
                medium::release(span);
            }
        }
    }

    /// Flushes the medium cache if it was not used since the last time.
    pub(super) fn age_medium_cache(&self) {
        if !self.medium_cache.used.replace(false) {
            self.flush_medium_cache();
        }
    }
}

impl Locked<'_> {
    /// Clears the shelf, by its owner, or by who acts as the owner: what was on it is released with the empty spans.
    pub(super) fn empty_medium_cache(&self) {
        let shelf = &self.heap.medium_cache;
        for slabs in 1..=MEDIUM_ROWS {
            while let Some(span) = shelf.take(slabs) {
                self.retired.push(span);
            }
        }
    }
}
