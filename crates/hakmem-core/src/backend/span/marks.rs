//! Marks: one bit for each block of a span that says whether the block was returned. The bits lie outside of the span.
//!
//! The marks tell a first free from a second one, whatever the program wrote into the block, and a list whose links
//! were overwritten is built again from them. A span has as many bits as blocks. They are made when a span first needs
//! this many, and stay with its descriptor for the next span. Where there is no memory for them, no block is marked,
//! and less misuse is detected.
//!
//! Words are atomic, so that they can be read without the lock under which they are written.
//!
//! # Safety
//! `map::metadata` makes the words, so they are never unmapped.

use super::pages::MOST_BLOCKS;
use crate::map::metadata;
use core::cell::Cell;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(super) const BITS: usize = u64::BITS as usize;

/// Whole cache lines of words: spans of neighbouring slabs share none.
#[repr(C, align(64))]
struct Line<const WORDS: usize>([AtomicU64; WORDS]);

/// The numbers of words that are made, each for spans of up to 64 times as many blocks.
const WORD_COUNTS: [usize; 5] = [8, 16, 32, 64, 128];
const _: () = assert!(MOST_BLOCKS <= WORD_COUNTS[WORD_COUNTS.len() - 1] * BITS);

/// The marks of one span. All fields zero means that it has none.
#[repr(C)]
pub(super) struct Marks {
    first: Cell<*const AtomicU64>,
    /// How many words were made, and how many of them this span needs.
    made: Cell<u32>,
    used: Cell<u32>,
}

fn make<const WORDS: usize>() -> *const AtomicU64 {
    // SAFETY: zero is a valid word.
    unsafe { metadata::make::<Line<WORDS>>() }.map_or(ptr::null(), |line| line.0.as_ptr())
}

impl Marks {
    /// Prepares the marks for a span of `blocks` blocks; no block is marked.
    pub fn start(&self, blocks: usize) {
        let words = blocks.div_ceil(BITS);
        if words > self.made.get() as usize {
            let (first, made) = match WORD_COUNTS.into_iter().find(|size| words <= *size) {
                Some(8) => (make::<8>(), 8),
                Some(16) => (make::<16>(), 16),
                Some(32) => (make::<32>(), 32),
                Some(64) => (make::<64>(), 64),
                _ => (make::<128>(), 128),
            };
            self.first.set(first);
            self.made.set(if first.is_null() { 0 } else { made });
        }
        self.used.set((words as u32).min(self.made.get()));
        self.clear();
    }

    /// The words that hold the bits, lowest first.
    #[inline]
    pub fn words(&self) -> &'static [AtomicU64] {
        let first = self.first.get();
        // SAFETY: `start` made at least this many words.
        if first.is_null() { &[] } else { unsafe { slice::from_raw_parts(first, self.used.get() as usize) } }
    }

    /// Returns the first word and how many blocks have a bit, for a caller that checks its index itself.
    #[inline]
    pub fn raw(&self) -> (*const AtomicU64, usize) {
        (self.first.get(), self.used.get() as usize * BITS)
    }

    /// Whether the span has marks: it has none where the system had no memory.
    pub fn exist(&self) -> bool {
        self.used.get() != 0
    }

    /// Marks a block; false if it was marked already. True where the span has no marks.
    pub fn add(&self, block: usize) -> bool {
        self.words().get(block / BITS).is_none_or(|word| add(word, block))
    }

    /// Removes the mark of a block.
    pub fn remove(&self, block: usize) {
        if let Some(word) = self.words().get(block / BITS) {
            remove(word, block);
        }
    }

    /// Removes all marks.
    pub fn clear(&self) {
        self.words().iter().for_each(|word| word.store(0, Relaxed));
    }

    /// Whether a block is marked.
    pub fn has(&self, block: usize) -> bool {
        self.words().get(block / BITS).is_some_and(|word| word.load(Relaxed) & 1 << (block % BITS) != 0)
    }

    /// The number of marked blocks.
    pub fn count(&self) -> u32 {
        self.words().iter().map(|word| word.load(Relaxed).count_ones()).sum()
    }
}

/// Sets a bit; false if it was set already.
#[inline(always)]
pub(super) fn add(word: &AtomicU64, block: usize) -> bool {
    let (before, bit) = (word.load(Relaxed), 1 << (block % BITS));
    word.store(before | bit, Relaxed);
    before & bit == 0
}

/// Clears a bit.
#[inline(always)]
pub(super) fn remove(word: &AtomicU64, block: usize) {
    word.store(word.load(Relaxed) & !(1 << (block % BITS)), Relaxed);
}
