//! The space: finding slabs for whoever wants some, and giving free memory back in time.
//!
//! Used slabs are taken before fresh ones, and segments in order of their number, so the last ones empty first.

use crate::policy;
use crate::room;
use crate::segment::{self, Run, Segment};
use crate::sizes::{SEGMENT, SLAB, SLABS};
use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed},
};
use hakmem_os::kernel::kernel;

/// How many segments are tried where nothing is promised about the length that is wanted.
const TRIES: usize = 8;

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
    /// Number of segments.
    pub segments: usize,
}

/// Claims `slabs` slabs in a row, from used memory first, mapping a new segment at last.
pub fn claim(slabs: usize) -> Option<Run> {
    let (sure, perhaps) = (room::level_for(slabs), slabs.ilog2() as usize);
    claim_among([room::DIRTY, sure], slabs, TRIES)
        .or_else(|| (sure != perhaps).then(|| claim_among([room::DIRTY, perhaps], slabs, TRIES)).flatten())
        .or_else(|| claim_among([sure, sure], slabs, usize::MAX))
        .or_else(|| (sure != perhaps).then(|| claim_among([perhaps, perhaps], slabs, TRIES)).flatten())
        .or_else(|| segment::map(slabs))
}

fn claim_among(levels: [usize; 2], slabs: usize, tries: usize) -> Option<Run> {
    let candidates = room::candidates(levels, segment::last_number()).take(tries);
    candidates.filter_map(segment::number).find_map(|segment| segment.claim(slabs))
}

/// Whether it is time for a purge pass, and this caller's turn to make it. Half the decay time lies between passes, and a
/// slab goes at the second pass that finds it free: so it stays for half the decay time at least and all of it at most.
pub fn pass_is_due() -> bool {
    let now = (kernel().now)();
    let last = LAST_PASS.load(Relaxed);
    let interval = (policy::current().decay_ms as u64 / 2).max(1);
    now.wrapping_sub(last) >= interval && LAST_PASS.compare_exchange(last, now, AcqRel, Relaxed).is_ok()
}

/// When the last pass was made, in the milliseconds of the coarse clock.
pub fn last_pass() -> u64 {
    LAST_PASS.load(Relaxed)
}

/// Gives free memory back: all of it, or what has been free since the last pass. Returns whether there was any.
pub fn purge(everything: bool) -> bool {
    let mut any = false;
    for segment in segment::all() {
        let state = segment.state();
        if state.dirty != 0 || state.free.count_ones() as usize == SLABS {
            any |= segment.purge(everything);
        }
    }
    any
}

/// What the space holds.
pub fn extent() -> Extent {
    let mut extent = Extent::default();
    for state in segment::all().map(Segment::state) {
        extent.free += state.free.count_ones() as usize * SLAB;
        extent.dirty += state.dirty.count_ones() as usize * SLAB;
    }
    extent.segments = room::mapped();
    extent.mapped = extent.segments * SEGMENT;
    extent
}
