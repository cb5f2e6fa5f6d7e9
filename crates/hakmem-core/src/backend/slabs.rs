//! The space: finding slabs for whoever wants some, and giving free memory back in time.
//!
//! Used slabs are taken before fresh ones, and segments in order of their number, so the last ones empty first.

use crate::backend::availability;
use crate::backend::purge::Purge;
use crate::backend::segment::{self, Run, Segment};
use crate::base::sizes::{SEGMENT, SLAB, SLABS};

/// How many segments are tried where nothing is promised about the length that is wanted.
const TRIES: usize = 8;

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
    let (sure, perhaps) = (availability::level_for(slabs), slabs.ilog2() as usize);
    claim_among([availability::DIRTY, sure], slabs, TRIES)
        .or_else(|| (sure != perhaps).then(|| claim_among([availability::DIRTY, perhaps], slabs, TRIES)).flatten())
        .or_else(|| claim_among([sure, sure], slabs, usize::MAX))
        .or_else(|| (sure != perhaps).then(|| claim_among([perhaps, perhaps], slabs, TRIES)).flatten())
        .or_else(|| segment::map(slabs))
}

fn claim_among(levels: [usize; 2], slabs: usize, tries: usize) -> Option<Run> {
    let candidates = availability::candidates(levels, segment::last_number()).take(tries);
    candidates.filter_map(segment::number).find_map(|segment| segment.claim(slabs))
}

/// Gives free memory back; how many bytes. The last segments first, which are the last to be used again.
pub fn purge(which: Purge) -> usize {
    let mut purged = 0;
    for segment in segment::all().rev() {
        let state = segment.state();
        if state.dirty != 0 || state.free.count_ones() as usize == SLABS {
            purged += segment.purge(which.without(purged));
        }
    }
    purged
}

/// What the space holds.
pub fn extent() -> Extent {
    let mut extent = Extent::default();
    for state in segment::all().map(Segment::state) {
        extent.free += state.free.count_ones() as usize * SLAB;
        extent.dirty += state.dirty.count_ones() as usize * SLAB;
    }
    extent.segments = availability::mapped();
    extent.mapped = extent.segments * SEGMENT;
    extent
}
