//! Segments in a child process just forked: repairs what other threads of the parent were doing to them.

use super::descriptor::Segment;
use super::registry::{SPARE_SEGMENTS, all};
use super::state::{clear, mask};
use crate::backend::availability;
use crate::backend::span::Span;
use crate::base::sizes::{SLAB, SLABS};
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;

/// Repairs all segments and their bits in `availability`. Called in a child process just forked.
///
/// `in_slow_path` says that this thread forked in a signal handler that interrupted its own slow path. Then that slow
/// path still needs its half-done work, so only the bits are repaired. Otherwise slabs that were claimed and hold
/// nothing are released, except for medium blocks that a thread has cached, as `is_cached` says; and descriptors
/// without a segment are reused.
pub fn after_fork_in_child(in_slow_path: bool, is_cached: impl Fn(&Span) -> bool) {
    if !in_slow_path {
        SPARE_SEGMENTS.reset();
        all().for_each(|segment| segment.repair(&is_cached));
    }
    for segment in all() {
        let index = segment.index.load(Relaxed) as usize;
        availability::repair_after_fork(index, &segment.published, segment.summary());
    }
}

impl Segment {
    fn repair(&'static self, is_cached: &impl Fn(&Span) -> bool) {
        if self.is_mapped() {
            self.release_abandoned(is_cached);
        } else {
            // A thread may have been mapping or unmapping this segment; that range of addresses is lost.
            self.state.store(0, Relaxed);
            SPARE_SEGMENTS.push(self);
        }
    }

    /// Releases the slabs that are claimed and hold nothing: their thread had claimed them and not used them yet, or
    /// had freed what they held and not released them yet.
    fn release_abandoned(&'static self, is_cached: &impl Fn(&Span) -> bool) {
        let (free, mut abandoned, mut slab) = (self.state().free, 0, 0);
        while slab < SLABS {
            let (at, span) = (self.base() + slab * SLAB, &self.spans[slab]);
            let slabs = match page_map::entry(at) {
                _ if free & mask(slab, 1) != 0 => 1,
                page_map::MEDIUM => span.slabs(),
                page_map::CACHED if is_cached(span) => span.slabs(),
                // The entry is 0 where the segment was being mapped.
                page_map::CACHED | page_map::FREED | 0 => 0,
                _ if span.slabs_before() == 0 && !span.is_empty() => span.slabs(),
                // A span whose small blocks were all returned, or a part of one: it was about to be released.
                _ => 0,
            };
            if slabs == 0 {
                abandoned |= mask(slab, 1);
            }
            slab += slabs.max(1);
        }
        if abandoned != 0 {
            (0..SLABS)
                .filter(|slab| abandoned & mask(*slab, 1) != 0)
                .for_each(|slab| page_map::set(self.base() + slab * SLAB, 1, page_map::FREED));
            clear(&self.prefaulted, abandoned);
            self.release(abandoned, true);
        }
    }
}
