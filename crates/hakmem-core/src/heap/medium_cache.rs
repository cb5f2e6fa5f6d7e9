//! The medium cache: medium blocks that a thread has freed and keeps for its next allocations, in rows by their number
//! of slabs.
//!
//! Claiming and releasing slabs changes words that all threads share. The slabs of a cached block stay claimed; only
//! the page map says that the block is free. So allocating it again changes nothing but this heap and the page map. The
//! thread that frees a block caches it, even if another thread allocated it.
//!
//! ```text
//!   bytes  =  sum over the cached blocks of the bytes of their slabs  <=  medium_cache_limit, after each free
//! ```
//!
//! The limit is a share of the medium blocks that the thread uses, so the cache is always small beside them. When it is
//! full, a block of the longest row is released: with random sizes that causes the fewest misses. A cache that was not
//! used from one purge pass to the next is flushed.
//!
//! # Safety
//! Only the owner touches the medium cache, like the bins, or the thread that acts as the owner.

use super::layout::{Big, Heap, Locked, MEDIUM_ROWS, MediumCache, MediumRow};
use super::registry;
use crate::backend::medium;
use crate::backend::span::Span;
use crate::base::sizes::SLAB;
use crate::policy;

/// The least limit of a medium cache, in bytes.
const LEAST_CACHED_BYTES: usize = 256 << 10;
/// The limit is one part in this many of the medium blocks that the thread allocated and did not free.
const SHARE_DIVISOR: usize = 16;

impl MediumRow {
    fn blocks(&self) -> impl Iterator<Item = &'static Span> {
        core::iter::successors(self.first.get(), |span| span.below())
    }
}

impl MediumCache {
    /// Returns the bytes of the cached blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Iterates over the cached blocks, each with its number of slabs.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (usize, &'static Span)> {
        self.rows.iter().zip(1..).flat_map(|(row, slabs)| row.blocks().map(move |span| (slabs, span)))
    }

    /// Whether every row is as long as its count says.
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

    /// Takes a block of the longest row.
    fn take_from_longest_row(&self) -> Option<&'static Span> {
        let slabs = (1..=MEDIUM_ROWS).max_by_key(|slabs| self.rows[slabs - 1].count.get())?;
        self.take(slabs)
    }

    /// Whether this block is cached.
    pub(super) fn holds_span(&self, span: &Span) -> bool {
        self.blocks().any(|(_, other)| core::ptr::eq(other, span))
    }

    /// Empties the cache without releasing its blocks, in a child process in which the owner does not exist. The child
    /// finds the blocks by the page map and releases them.
    pub(super) fn forget(&self) {
        for row in &self.rows {
            row.first.set(None);
            row.count.set(0);
        }
        self.bytes.sub(self.bytes.get());
    }
}

impl Heap {
    /// Returns the limit of the medium cache, in bytes.
    fn medium_cache_limit(&self) -> usize {
        // The count is negative in a thread that frees blocks of other threads.
        let has = (self.tallies[Big::Medium as usize].bytes.get() as isize).max(0) as usize;
        (has / SHARE_DIVISOR).max(LEAST_CACHED_BYTES).min(policy::current().cache_total / registry::owned().max(1))
    }

    /// Allocates a medium block of `size` bytes. The flag says whether the block is zero.
    pub(super) fn allocate_medium(&self, size: usize) -> Option<(usize, bool)> {
        self.medium_cache.used.set(true);
        if let Some(span) = self.medium_cache.take(medium::slabs_for(size)) {
            medium::mark_live(span, size);
            return Some((span.base(), false));
        }
        medium::allocate(size)
    }

    /// Frees the medium block at `address` and returns its size; `None` if no medium block begins there.
    pub(super) fn free_medium(&self, address: usize) -> Option<usize> {
        let span = medium::at(address)?;
        let bytes = span.bytes();
        let more = span.slabs() * SLAB;
        let most = self.medium_cache_limit();
        self.medium_cache.used.set(true);
        let stays = more <= most;
        let room = if stays { most - more } else { most };
        while self.medium_cache.bytes() as usize > room
            && let Some(other) = self.medium_cache.take_from_longest_row()
        {
            medium::release(other);
        }
        if stays {
            medium::mark_cached(span);
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

    /// Flushes the medium cache if it was not used since the last aging.
    pub(super) fn age_medium_cache(&self) {
        if !self.medium_cache.used.replace(false) {
            self.flush_medium_cache();
        }
    }
}

impl Locked<'_> {
    /// Empties the medium cache; its blocks are released together with the empty spans. Called by the owner, or by the
    /// thread that acts as the owner.
    pub(super) fn empty_medium_cache(&self) {
        let cache = &self.heap.medium_cache;
        for slabs in 1..=MEDIUM_ROWS {
            while let Some(span) = cache.take(slabs) {
                self.retired.push(span);
            }
        }
    }
}
