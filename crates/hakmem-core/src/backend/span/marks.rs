//! Marks: for each block of a span, whether it came back. One bit each, out of band.
//!
//! They tell a block that comes back from one that is back already, whatever the program wrote into it, and where a link of
//! the list was overwritten the list can be made anew of them. They are as many bits as the span has blocks, made when a span
//! first needs so many, and kept with its descriptor for the next one. Where there is no memory for them nothing is marked,
//! and less misuse is noticed.
//!
//! Words are atomic so that they can be read without the lock under which they are written.
//!
//! # Safety
//! The words were made by `meta`, so they live for ever.

use super::pages::MOST_BLOCKS;
use crate::map::metadata;
use core::cell::Cell;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(super) const BITS: usize = u64::BITS as usize;

/// A cache line of words: what spans of neighbouring slabs have does not share one.
#[repr(C, align(64))]
struct Line<const WORDS: usize>([AtomicU64; WORDS]);

/// Words for spans of up to this many blocks, in the sizes that there are.
const SIZES: [usize; 5] = [8, 16, 32, 64, 128];
const _: () = assert!(MOST_BLOCKS <= SIZES[SIZES.len() - 1] * BITS);

/// The marks of one span. All-zero is none.
#[repr(C)]
pub(super) struct Marks {
    first: Cell<*const AtomicU64>,
    /// Words that were made, and those of them that the span has need of.
    made: Cell<u32>,
    used: Cell<u32>,
}

fn make<const WORDS: usize>() -> *const AtomicU64 {
    // SAFETY: zero is a valid word.
    unsafe { metadata::make::<Line<WORDS>>() }.map_or(ptr::null(), |line| line.0.as_ptr())
}

impl Marks {
    /// Gets ready for a span of so many blocks, none of them marked.
    pub fn start(&self, blocks: usize) {
        let words = blocks.div_ceil(BITS);
        if words > self.made.get() as usize {
            let (first, made) = match SIZES.into_iter().find(|size| words <= *size) {
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
        // SAFETY: `start` made at least so many words.
        if first.is_null() { &[] } else { unsafe { slice::from_raw_parts(first, self.used.get() as usize) } }
    }

    /// The same for who knows that a block has a bit: the first word, and how many blocks have one.
    #[inline]
    pub fn raw(&self) -> (*const AtomicU64, usize) {
        (self.first.get(), self.used.get() as usize * BITS)
    }

    /// Whether there are any: not where memory for them was out.
    pub fn are_kept(&self) -> bool {
        self.used.get() != 0
    }

    /// Marks a block; false if it was marked already.
    pub fn add(&self, block: usize) -> bool {
        self.words().get(block / BITS).is_none_or(|word| add(word, block))
    }

    /// Takes the mark off a block.
    pub fn remove(&self, block: usize) {
        if let Some(word) = self.words().get(block / BITS) {
            remove(word, block);
        }
    }

    /// Takes all marks off.
    pub fn clear(&self) {
        self.words().iter().for_each(|word| word.store(0, Relaxed));
    }

    /// Whether a block is marked.
    pub fn has(&self, block: usize) -> bool {
        self.words().get(block / BITS).is_some_and(|word| word.load(Relaxed) & 1 << (block % BITS) != 0)
    }

    /// How many are marked.
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
