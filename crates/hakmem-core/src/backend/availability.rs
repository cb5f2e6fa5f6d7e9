//! Where room is: which segments have free slabs in a row, and which have used but free ones, as hints to search by.
//!
//! One bitmap for each power of two of slabs in a row, one bit a segment, and one bitmap for segments with used free slabs.
//! Whoever changes a segment puts its bits right; the truth is the segment's own word. With them the sums that the bounds of
//! policy are held against.

use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB};
use crate::base::wake_up;
use crate::policy;
use hakmem_os::atomic::{
    AtomicIsize, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed, SeqCst},
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

/// What is published of a segment's state: the bitmaps that it has a bit in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary(u32);

impl Summary {
    /// Of a segment in which `longest` free slabs stand in a row, as a power of two up to 16 or 0, and which may have free slabs
    /// that hold old contents.
    pub fn new(longest: u32, dirty: bool) -> Summary {
        Summary((2 * longest).saturating_sub(1) | u32::from(dirty) << DIRTY)
    }
}

/// Puts the bits of segment number `index` right, after a change of what `read` reads. `published` is what they say.
///
/// Of two threads that change the same segment the later one sees the end state; and as each turns over just the bits in which
/// what it found published differs from what it publishes, the bits come out the same in whatever order that happens.
///
/// One thread changes the segment and then looks at `published`; the other writes `published` and then looks at the segment again.
/// At least one of them must see what the other wrote, or what is published stays wrong. So these four are `SeqCst`, the reading
/// and the change of the segment included, and the writes among them are exchanges.
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

/// In a child just forked, for segment number `index`: a thread that is no more, the scavenger too, may have been in the middle of
/// publishing. Writes only what is wrong, since the child shares its memory with the parent until it writes.
pub fn publish_again(index: usize, published: &AtomicU32, Summary(summary): Summary) {
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

/// The bitmap for a run of this many slabs that is sure to hold one.
pub fn level_for(slabs: usize) -> usize {
    (slabs.next_power_of_two().ilog2() as usize).min(DIRTY - 1)
}

/// The numbers of the segments whose bit is set at both levels, lowest first, up to number `last`.
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

/// Notes a segment mapped.
pub fn note_mapped() {
    MAPPED.fetch_add(1, Relaxed);
    accounting::add_mapped(SEGMENT);
}

/// Notes a segment unmapped.
pub fn note_unmapped() {
    MAPPED.fetch_sub(1, Relaxed);
    accounting::sub_mapped(SEGMENT);
}

/// Sets both sums, in a child just forked, where threads vanished between a change and its note.
pub fn count_anew(segments: usize, dirty: usize) {
    MAPPED.store(segments as isize, Relaxed);
    DIRTY_SLABS.store(dirty as isize, Relaxed);
}

/// Notes slabs that became, or are no longer, free and dirty.
pub fn note_dirty(slabs: isize) {
    if slabs != 0 {
        // Sequentially consistent, as `wake_up` requires.
        DIRTY_SLABS.fetch_add(slabs, SeqCst);
    }
    if slabs > 0 {
        wake_up::notify();
    }
}

/// Slabs that are free and dirty now.
pub fn dirty() -> usize {
    DIRTY_SLABS.load(SeqCst).max(0) as usize
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_say_what_is_published_also_after_a_fork_in_the_middle() {
        let (index, published) = (SEGMENTS - 7, AtomicU32::new(0));
        let found = |levels| candidates(levels, SEGMENTS - 1).any(|candidate| candidate == index);
        publish(index, &published, || Summary::new(4, true));
        assert!(found([0, 2]) && found([DIRTY, 2]) && !found([3, 3]));
        publish(index, &published, || Summary::new(16, false));
        assert!(found([4, 4]) && !found([DIRTY, DIRTY]));
        // Whoever was to turn the bits over is no more.
        published.store(Summary::new(1, true).0, Relaxed);
        publish_again(index, &published, Summary::new(1, true));
        assert!(found([DIRTY, 0]) && !found([1, 1]));
        publish(index, &published, || Summary::new(0, false));
        assert!((0..LEVELS).all(|level| !found([level, level])));
    }
}
