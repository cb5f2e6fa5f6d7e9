//! Segments in a child just forked: what threads that are no more were doing to them is undone.

use super::descriptor::Segment;
use super::registry::{SPARE, all};
use super::state::{clear, mask};
use crate::backend::availability;
use crate::backend::span::Span;
use crate::base::sizes::{SLAB, SLABS};
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;

/// In a child just forked: publishes what threads that are no more were about to publish. Where this thread is `in_slow_path`, in a
/// signal handler, its own work is half done too. Where it is not, slabs that were claimed are released, but for free medium
/// blocks that it `keeps`, and descriptors without a segment serve again.
pub fn after_fork_in_child(in_slow_path: bool, keeps: impl Fn(&Span) -> bool) {
    if !in_slow_path {
        SPARE.reset();
        all().for_each(|segment| segment.put_right(&keeps));
    }
    for segment in all() {
        let index = segment.index.load(Relaxed) as usize;
        availability::publish_again(index, &segment.published, segment.summary());
    }
}

impl Segment {
    fn put_right(&'static self, keeps: &impl Fn(&Span) -> bool) {
        if self.is_mapped() {
            self.release_abandoned(keeps);
        } else {
            // It may have been in the hands of somebody who was mapping or unmapping; that range is lost.
            self.state.store(0, Relaxed);
            SPARE.push(self);
        }
    }

    /// Releases the slabs that are claimed and hold nothing: those between a claim and what it was for, and between what is freed and
    /// its release. In a child just forked.
    fn release_abandoned(&'static self, keeps: &impl Fn(&Span) -> bool) {
        let (free, mut abandoned, mut slab) = (self.state().free, 0, 0);
        while slab < SLABS {
            let (at, span) = (self.base() + slab * SLAB, &self.spans[slab]);
            let slabs = match page_map::entry(at) {
                _ if free & mask(slab, 1) != 0 => 1,
                page_map::MEDIUM => span.slabs(),
                page_map::CACHED if keeps(span) => span.slabs(),
                // 0 where the segment was being mapped.
                page_map::CACHED | page_map::FREED | 0 => 0,
                _ if span.back() == 0 && !span.is_empty() => span.slabs(),
                // A span of small blocks that are all back, or what is left of one: it was to be released.
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
            clear(&self.ahead, abandoned);
            self.release(abandoned, true);
        }
    }
}
