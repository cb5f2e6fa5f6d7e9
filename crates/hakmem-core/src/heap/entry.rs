//! Page map entries of small blocks: which heap owns the slab, and of which class its blocks are.
//!
//! ```text
//!   entry           =  anchor ^ distance of the bin from the anchor      (a small negative number, so the top bits are set)
//!   entry ^ anchor  =  distance of the bin, for the reader's own heap; something below -BINS_BYTES for any other
//! ```

use super::layout::{ANCHOR, BINS_BYTES, Bin, Heap};
use crate::backend::segment::Segment;
use crate::base::sizes::SLAB;
use crate::map::page_map;

/// The page map entry of a slab of `class` that belongs to the heap with this anchor.
pub(super) fn entry_for(anchor: usize, class: usize) -> usize {
    anchor ^ bin_distance(class)
}

/// From an anchor to the bin of `class`: a small negative number.
pub(super) const fn bin_distance(class: usize) -> usize {
    (class * size_of::<Bin>()).wrapping_sub(BINS_BYTES)
}

/// The class whose bin lies at this distance from an anchor.
pub(super) const fn class_at(distance: usize) -> usize {
    distance.wrapping_add(BINS_BYTES) / size_of::<Bin>()
}

/// The class in an entry of small blocks.
pub(crate) fn class_in(entry: usize) -> usize {
    ((entry & (ANCHOR - 1)) - (ANCHOR - BINS_BYTES)) / size_of::<Bin>()
}

/// The anchor in an entry of small blocks.
pub(crate) fn anchor_in(entry: usize) -> usize {
    !entry & !(ANCHOR - 1)
}

/// Whether an entry is one of small blocks. User addresses have their top bit clear, so these entries have it set.
pub(crate) fn is_small(entry: usize) -> bool {
    (entry as isize) < 0
}

/// The heap that owns the span of small blocks which begins at this slab, if one does.
pub(super) fn owner_of(segment: &Segment, slab: usize) -> Option<&'static Heap> {
    let entry = page_map::entry(segment.base() + slab * SLAB);
    (is_small(entry) && segment.spans[slab].back() == 0).then(|| Heap::at_anchor(anchor_in(entry)))
}
