//! The space: all segments of the process, where room is in them, and when their free memory goes back.
//!
//! Finding room is a search in bitmaps with one bit a segment: one bitmap for each power of two of slabs in a row, and one
//! for segments with used but free slabs. The bits are hints, put right by whoever changes a segment; the truth is the
//! segment's own word. Segments are tried in order of their number, so the last ones empty first.
//!
//! # Safety
//! The registry holds addresses of descriptors, which live for ever.

use crate::footprint;
use crate::policy;
use crate::segment::{self, Run, Segment, longest_run};
use crate::sizes::{SEGMENT, SLAB, SLABS};
use core::sync::atomic::{
    AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use hakmem_os::kernel::kernel;

/// Most segments a process can have: 1 TiB of small and medium blocks.
const SEGMENTS: usize = 1 << 19;
const WORDS: usize = SEGMENTS / 64;
/// Bitmaps: a run of 1, 2, 4, 8, 16 slabs; and used free slabs.
const LEVELS: usize = 6;
const DIRTY: usize = LEVELS - 1;
/// How many segments are tried in a bitmap that promises nothing about the length that is wanted.
const TRIES: usize = 8;

static REGISTRY: [AtomicPtr<Segment>; SEGMENTS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; SEGMENTS];
static ROOM: [[AtomicU64; WORDS]; LEVELS] = [const { [const { AtomicU64::new(0) }; WORDS] }; LEVELS];
/// The highest number given to a segment.
static LAST: AtomicU32 = AtomicU32::new(0);

static MAPPED: AtomicIsize = AtomicIsize::new(0);
static DIRTY_SLABS: AtomicIsize = AtomicIsize::new(0);
static PURGED_SLABS: AtomicUsize = AtomicUsize::new(0);
static LAST_PASS: AtomicU64 = AtomicU64::new(0);

/// What the space holds, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Mapped as segments.
    pub mapped: usize,
    /// Free slabs.
    pub free: usize,
    /// Free slabs with old contents, resident.
    pub dirty: usize,
    /// Given back to the system so far.
    pub purged: usize,
    /// Number of segments.
    pub segments: usize,
}

/// Claims `slabs` slabs in a row, from used memory first, mapping a new segment at last.
pub fn claim(slabs: usize) -> Option<Run> {
    claim_in(DIRTY, slabs, TRIES)
        .or_else(|| claim_in(slabs.next_power_of_two().ilog2() as usize, slabs, usize::MAX))
        .or_else(|| claim_in((slabs.ilog2()) as usize, slabs, TRIES))
        .or_else(|| segment::map(slabs))
}

fn claim_in(level: usize, slabs: usize, tries: usize) -> Option<Run> {
    let words = (LAST.load(Relaxed) as usize + 64) / 64;
    let mut tried = 0;
    for (at, word) in ROOM[level.min(DIRTY)].iter().enumerate().take(words) {
        let mut bits = word.load(Relaxed);
        while bits != 0 {
            let index = at * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            if let Some(run) = segment_at(index).and_then(|segment| segment.claim(slabs)) {
                return Some(run);
            }
            tried += 1;
            if tried >= tries {
                return None;
            }
        }
    }
    None
}

fn segment_at(index: usize) -> Option<&'static Segment> {
    // SAFETY: null or a descriptor, which lives for ever.
    unsafe { REGISTRY[index].load(Acquire).as_ref() }
}

/// All descriptors of segments, in order.
pub fn segments() -> impl Iterator<Item = &'static Segment> {
    (1..=LAST.load(Acquire) as usize).filter_map(segment_at)
}

/// Gives a new descriptor its number; false when there are too many.
pub fn register(segment: &'static Segment) -> bool {
    let taken = LAST.fetch_update(AcqRel, Relaxed, |last| (last as usize + 1 < SEGMENTS).then_some(last + 1));
    let Ok(last) = taken else { return false };
    segment.index.store(last + 1, Relaxed);
    REGISTRY[last as usize + 1].store(core::ptr::from_ref(segment).cast_mut(), Release);
    true
}

/// Puts the bitmaps right after a change of `segment`'s state.
pub fn publish(segment: &'static Segment) {
    let index = segment.index.load(Relaxed) as usize;
    let (word, bit) = (index / 64, 1 << (index % 64));
    loop {
        let state = segment.state();
        let longest = longest_run(state.free);
        let mut changed = false;
        for (level, bitmap) in ROOM.iter().enumerate() {
            let wanted = if level == DIRTY { state.dirty != 0 } else { longest >= 1 << level };
            if (bitmap[word].load(Relaxed) & bit != 0) != wanted {
                changed = true;
                if wanted {
                    bitmap[word].fetch_or(bit, AcqRel)
                } else {
                    bitmap[word].fetch_and(!bit, AcqRel)
                };
            }
        }
        // Whoever changes a bit looks again: of two threads that change the same segment the later one sees the end state.
        if !changed && segment.state() == state {
            return;
        }
    }
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
}

/// Notes slabs given back to the system.
pub fn note_purged(slabs: usize) {
    PURGED_SLABS.fetch_add(slabs, Relaxed);
}

/// Whether `slabs` more free dirty slabs are more than policy keeps.
pub fn must_purge(slabs: usize) -> bool {
    let policy = policy::current();
    policy.decay_ms == 0 || (DIRTY_SLABS.load(Relaxed).max(0) as usize + slabs) * SLAB > policy.retain_bytes
}

/// Whether it is time for a purge pass, and this caller's turn to make it. Half the decay time lies between passes, and a
/// slab goes at the second pass that finds it free: so it stays for half the decay time at least and all of it at most.
pub fn pass_is_due() -> bool {
    let now = (kernel().now)();
    let last = LAST_PASS.load(Relaxed);
    let interval = (policy::current().decay_ms as u64 / 2).max(1);
    now.wrapping_sub(last) >= interval && LAST_PASS.compare_exchange(last, now, AcqRel, Relaxed).is_ok()
}

/// Gives free memory back: all of it, or what has been free since the last pass. Returns whether there was any.
pub fn purge(everything: bool) -> bool {
    let mut any = false;
    for segment in segments() {
        let state = segment.state();
        if state.dirty != 0 || state.free.count_ones() as usize == SLABS {
            any |= segment.purge(everything);
        }
    }
    any
}

/// What the space holds.
pub fn extent() -> Extent {
    let mut extent = Extent { purged: PURGED_SLABS.load(Relaxed) * SLAB, ..Extent::default() };
    for state in segments().map(Segment::state) {
        extent.free += state.free.count_ones() as usize * SLAB;
        extent.dirty += state.dirty.count_ones() as usize * SLAB;
    }
    extent.segments = MAPPED.load(Relaxed).max(0) as usize;
    extent.mapped = extent.segments * SEGMENT;
    extent
}
