//! Which segments have free slabs in a row, and which have dirty ones: hints for the search.
//!
//! There is one bitmap for each power of two of slabs in a row, and one for dirty slabs, with one bit for each segment.
//! A thread that changes a segment updates its bits; the segment's own word is the truth. Here are also the sums that
//! are compared with policy's bounds.

use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB};
use crate::base::wake_up;
use crate::policy;
use hakmem_os::atomic::{
    AtomicIsize, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed, SeqCst},
};

/// The most segments that a process can have: 1 TiB of small and medium blocks.
pub const SEGMENTS: usize = 1 << 19;
const WORDS: usize = SEGMENTS / 64;
/// Number of bitmaps: for runs of 1, 2, 4, 8 and 16 slabs, and for dirty slabs.
const LEVELS: usize = 6;
/// The number of the bitmap for dirty slabs.
pub const DIRTY: usize = LEVELS - 1;

/// Words of one bitmap that lie side by side: a cache line, which describes 1 GiB.
const STRIPE: usize = 8;
type Stripe = [[AtomicU64; STRIPE]; LEVELS];
/// The bitmaps, interleaved by cache lines: a small process touches one page for all of them, not one for each.
static ROOM: [Stripe; WORDS / STRIPE] =
    [const { [const { [const { AtomicU64::new(0) }; STRIPE] }; LEVELS] }; WORDS / STRIPE];
static MAPPED: AtomicIsize = AtomicIsize::new(0);
static DIRTY_SLABS: AtomicIsize = AtomicIsize::new(0);

/// What is published about a segment's state: one bit for each bitmap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary(u32);

impl Summary {
    /// Summarises a segment with `longest` free slabs in a row, a power of two up to 16 or 0, and says whether it may
    /// have dirty slabs.
    ///
    /// For example, 8 slabs and dirty ones: bits 0 to 3 for runs of 1, 2, 4 and 8, and bit 5 for dirty slabs.
    pub fn new(longest: u32, dirty: bool) -> Summary {
        Summary((2 * longest).saturating_sub(1) | u32::from(dirty) << DIRTY)
    }
}

/// Updates the bits of segment number `index` after its state has changed. `read` reads its state, and `published`
/// holds the bits as they were published last.
///
/// When two threads change the same segment, the later one finds the final state. Each thread flips only the bits in
/// which the summary that it replaces differs from the one that it publishes, so the bits are the same in any order of
/// the flips.
///
/// One thread changes the segment and then loads `published`; another stores `published` and then reads the segment
/// again. At least one of them must see what the other wrote, or the bits stay wrong. So these four accesses are
/// `SeqCst`, including the change and the reading of the segment, and both writes are read-modify-write operations.
pub fn publish(index: usize, published: &AtomicU32, read: impl Fn() -> Summary) {
    let (word, bit) = (index / 64, 1 << (index % 64));
    loop {
        let (old, Summary(new)) = (published.load(SeqCst), read());
        if old == new {
            return;
        }
        if published.compare_exchange(old, new, SeqCst, Relaxed).is_ok() {
            for (level, bitmap) in ROOM[word / STRIPE].iter().enumerate() {
                if (old ^ new) & 1 << level != 0 {
                    bitmap[word % STRIPE].fetch_xor(bit, AcqRel);
                }
            }
        }
    }
}

/// Repairs the bits of segment number `index` in a child process just forked, where another thread of the parent may
/// have been publishing them. Writes only what is wrong, since each page that the child writes is copied.
pub fn repair_after_fork(index: usize, published: &AtomicU32, Summary(summary): Summary) {
    let (word, bit) = (index / 64, 1 << (index % 64));
    if published.load(Relaxed) != summary {
        published.store(summary, Relaxed);
    }
    for (level, bitmap) in ROOM[word / STRIPE].iter().map(|bitmap| &bitmap[word % STRIPE]).enumerate() {
        if (bitmap.load(Relaxed) & bit != 0) != (summary & 1 << level != 0) {
            bitmap.fetch_xor(bit, Relaxed);
        }
    }
}

/// Returns the bitmap in which every segment has a run of at least this many slabs.
pub fn level_for(slabs: usize) -> usize {
    (slabs.next_power_of_two().ilog2() as usize).min(DIRTY - 1)
}

/// Returns the numbers of the segments whose bit is set at both levels, lowest first, up to number `last`.
pub fn candidates(levels: [usize; 2], last: usize) -> impl Iterator<Item = usize> {
    let (mut word, mut bits) = (0, 0);
    core::iter::from_fn(move || {
        while bits == 0 {
            if word > last / 64 {
                return None;
            }
            let stripe = ROOM.get(word / STRIPE)?;
            let [one, other] = levels.map(|level| stripe[level.min(DIRTY)][word % STRIPE].load(Relaxed));
            bits = one & other;
            word += 1;
        }
        let lowest = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some((word - 1) * 64 + lowest)
    })
}

/// Notes that a segment was mapped.
pub fn note_mapped() {
    MAPPED.fetch_add(1, Relaxed);
    accounting::add_mapped(SEGMENT);
}

/// Notes that a segment was unmapped.
pub fn note_unmapped() {
    MAPPED.fetch_sub(1, Relaxed);
    accounting::sub_mapped(SEGMENT);
}

/// Sets both sums. Called in a child process just forked, where another thread may have changed a segment and not yet
/// noted it.
pub fn recount(segments: usize, dirty: usize) {
    MAPPED.store(segments as isize, Relaxed);
    DIRTY_SLABS.store(dirty as isize, Relaxed);
}

/// Notes that `slabs` more slabs are free and dirty, or fewer if it is negative.
pub fn note_dirty(slabs: isize) {
    if slabs != 0 {
        // `SeqCst` pairs with the scavenger, which announces that it sleeps and then reads this sum: see `wake_up`.
        DIRTY_SLABS.fetch_add(slabs, SeqCst);
    }
    if slabs > 0 {
        wake_up::notify();
    }
}

/// Returns how many slabs are free and dirty.
pub fn dirty() -> usize {
    DIRTY_SLABS.load(SeqCst).max(0) as usize
}

/// Returns how many segments are mapped.
pub fn mapped() -> usize {
    MAPPED.load(Relaxed).max(0) as usize
}

/// Whether `slabs` more dirty slabs are more than policy lets stay resident.
pub fn must_purge(slabs: usize) -> bool {
    let policy = policy::current();
    policy.decay_ms == 0 || (dirty() + slabs) * SLAB > policy.retain_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_agree_with_what_is_published_also_after_a_fork_in_between() {
        let (index, published) = (SEGMENTS - 7, AtomicU32::new(0));
        let found = |levels| candidates(levels, SEGMENTS - 1).any(|candidate| candidate == index);
        publish(index, &published, || Summary::new(4, true));
        assert!(found([0, 2]) && found([DIRTY, 2]) && !found([3, 3]));
        publish(index, &published, || Summary::new(16, false));
        assert!(found([4, 4]) && !found([DIRTY, DIRTY]));
        // The thread that was about to flip the bits has ended.
        published.store(Summary::new(1, true).0, Relaxed);
        repair_after_fork(index, &published, Summary::new(1, true));
        assert!(found([DIRTY, 0]) && !found([1, 1]));
        publish(index, &published, || Summary::new(0, false));
        assert!((0..LEVELS).all(|level| !found([level, level])));
    }
}
