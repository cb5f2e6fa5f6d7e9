//! Where room is: which segments have free slabs in a row, and which have used but free ones, as hints to search by.
//!
//! One bitmap for each power of two of slabs in a row, one bit a segment, and one bitmap for segments with used free slabs.
//! Whoever changes a segment puts its bits right; the truth is the segment's own word. With them the sums that the bounds of
//! policy are held against.

use crate::bell;
use crate::footprint;
use crate::policy;
use crate::sizes::{SEGMENT, SLAB};
use core::sync::atomic::{
    AtomicIsize, AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

/// Most segments a process can have: 1 TiB of small and medium blocks.
pub const SEGMENTS: usize = 1 << 19;
const WORDS: usize = SEGMENTS / 64;
/// Bitmaps: runs of 1, 2, 4, 8 and 16 slabs, and used free slabs.
const LEVELS: usize = 6;
/// The bitmap of segments with used free slabs.
pub const DIRTY: usize = LEVELS - 1;

/// Words of one bitmap that lie together: a cache line, which speaks for 1 GiB.
const STRIPE: usize = 8;
type Stripe = [[AtomicU64; STRIPE]; LEVELS];
/// The bitmaps in stripes, a cache line of each in turn: a small process touches one page of them all instead of one of each.
static ROOM: [Stripe; WORDS / STRIPE] =
    [const { [const { [const { AtomicU64::new(0) }; STRIPE] }; LEVELS] }; WORDS / STRIPE];
static MAPPED: AtomicIsize = AtomicIsize::new(0);
static DIRTY_SLABS: AtomicIsize = AtomicIsize::new(0);

/// What is published of a segment's state: how many free slabs stand in a row, as a power of two, and whether any free slab is
/// dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The largest power of two, up to 16, of free slabs in a row; 0 for none.
    pub longest: u32,
    /// Whether any free slab holds old contents.
    pub dirty: bool,
}

/// Puts the bits of segment number `index` right, after a change of what `read` reads.
pub fn publish(index: usize, read: impl Fn() -> Summary) {
    let (word, bit) = (index / 64, 1 << (index % 64));
    let stripe = &ROOM[word / STRIPE];
    loop {
        let summary = read();
        let mut changed = false;
        for (level, bitmap) in stripe.iter().enumerate() {
            let bitmap = &bitmap[word % STRIPE];
            let wanted = if level == DIRTY { summary.dirty } else { summary.longest >= 1 << level };
            if (bitmap.load(Relaxed) & bit != 0) != wanted {
                changed = true;
                if wanted {
                    bitmap.fetch_or(bit, AcqRel)
                } else {
                    bitmap.fetch_and(!bit, AcqRel)
                };
            }
        }
        // Whoever changes a bit looks again: of two threads that change the same segment the later one sees the end state.
        if !changed && read() == summary {
            return;
        }
    }
}

/// The bitmap for a run of this many slabs that is sure to hold one.
pub fn level_for(slabs: usize) -> usize {
    (slabs.next_power_of_two().ilog2() as usize).min(DIRTY - 1)
}

/// The numbers of the segments whose bit is set at `level`, lowest first, up to number `last`.
pub fn candidates(level: usize, last: usize) -> impl Iterator<Item = usize> {
    let words = ROOM.iter().flat_map(move |stripe| &stripe[level.min(DIRTY)]).take(last / 64 + 1).enumerate();
    words.flat_map(|(at, word)| {
        let mut bits = word.load(Relaxed);
        core::iter::from_fn(move || {
            let lowest = bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
            (lowest < 64).then_some(at * 64 + lowest)
        })
    })
}

/// Notes a segment mapped.
pub fn note_mapped() {
    MAPPED.fetch_add(1, Relaxed);
    footprint::grow(SEGMENT);
}

/// Notes a segment unmapped.
pub fn note_unmapped() {
    MAPPED.fetch_sub(1, Relaxed);
    footprint::shrink(SEGMENT);
}

/// Notes slabs that became, or are no longer, free and dirty.
pub fn note_dirty(slabs: isize) {
    if slabs != 0 {
        DIRTY_SLABS.fetch_add(slabs, Relaxed);
    }
    if slabs > 0 {
        bell::ring();
    }
}

/// Slabs that are free and dirty now.
pub fn dirty() -> usize {
    DIRTY_SLABS.load(Relaxed).max(0) as usize
}

/// Segments mapped now.
pub fn mapped() -> usize {
    MAPPED.load(Relaxed).max(0) as usize
}

/// Whether `slabs` more free dirty slabs are more than policy keeps.
pub fn must_purge(slabs: usize) -> bool {
    let policy = policy::current();
    policy.decay_ms == 0 || (dirty() + slabs) * SLAB > policy.retain_bytes
}
