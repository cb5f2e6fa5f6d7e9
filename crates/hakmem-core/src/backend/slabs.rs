//! Finds free slabs in the segments, and purges free slabs.
//!
//! Dirty slabs are claimed before clean ones, and segments are filled in order of their numbers, so the last ones
//! become empty first.

use crate::backend::availability;
use crate::backend::purge::Purge;
use crate::backend::segment::{self, Claim, Segment};
use crate::base::sizes::{SEGMENT, SLAB, SLABS};

/// How many segments are tried where the bitmap does not promise enough slabs in a row.
const TRIES: usize = 8;

/// What all segments hold, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Extent {
    /// All that is mapped as segments.
    pub mapped: usize,
    /// Free slabs.
    pub free: usize,
    /// Dirty slabs: free, resident, with old contents.
    pub dirty: usize,
    /// Number of segments.
    pub segments: usize,
}

/// Claims `slabs` slabs in a row: dirty ones first, then any; where no segment has room, maps a new one.
pub fn claim(slabs: usize) -> Option<Claim> {
    let (certain, possible) = (availability::level_for(slabs), slabs.ilog2() as usize);
    claim_among([availability::DIRTY, certain], slabs, TRIES)
        .or_else(|| (certain != possible).then(|| claim_among([availability::DIRTY, possible], slabs, TRIES)).flatten())
        .or_else(|| claim_among([certain, certain], slabs, usize::MAX))
        .or_else(|| (certain != possible).then(|| claim_among([possible, possible], slabs, TRIES)).flatten())
        .or_else(|| segment::map(slabs))
}

fn claim_among(levels: [usize; 2], slabs: usize, tries: usize) -> Option<Claim> {
    let candidates = availability::candidates(levels, segment::last_number()).take(tries);
    candidates.filter_map(segment::number).find_map(|segment| segment.claim(slabs))
}

/// Purges free memory and returns how many bytes went back. It begins with the last segments, which will be used again
/// last.
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

/// Returns what all segments hold.
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
