//! Segments come from the system and go back to it: mapped when none has room, purged slab by slab, unmapped when all is free.
//!
//! # Safety
//! Whoever claimed slabs owns their memory until it releases them.

use super::descriptor::{Run, Segment};
use super::registry::{self, SPARE};
use super::state::{ALL, State, clear, highest, mask};
use crate::backend::availability;
use crate::backend::huge_pages;
use crate::backend::purge::Purge;
use crate::backend::span::Span;
use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB, SLABS};
use crate::map::metadata;
use crate::map::page_map;
use core::ptr;
use hakmem_os::atomic::Ordering::{Relaxed, SeqCst};
use hakmem_os::vm;

/// Maps a new segment, with its first `slabs` slabs claimed; `None` when the system has no memory.
pub fn map(slabs: usize) -> Option<Run> {
    if !accounting::charge(slabs * SLAB) {
        return None;
    }
    let run = map_taken(slabs);
    if run.is_none() {
        accounting::uncharge(slabs * SLAB);
    }
    run
}

fn map_taken(slabs: usize) -> Option<Run> {
    let segment = match SPARE.pop() {
        Some(segment) => segment,
        // SAFETY: atomics and cells of numbers and null pointers: zero is valid. A zero state has nothing free.
        None => unsafe { metadata::make::<Segment>() }?,
    };
    if segment.index.load(Relaxed) == 0 && !registry::register(segment) {
        // It gets its number when there is memory for the registry again.
        SPARE.push(segment);
        return None;
    }
    let base = vm::map_aligned(SEGMENT, SEGMENT);
    if base == 0 {
        SPARE.push(segment);
        return None;
    }
    if !page_map::cover(base, SEGMENT) {
        // SAFETY: mapped just now, known to nobody.
        unsafe { vm::unmap(base, SEGMENT) };
        SPARE.push(segment);
        return None;
    }
    segment.base.store(base, Relaxed);
    segment.idle.store(0, Relaxed);
    segment.ahead.store(0, Relaxed);
    // SAFETY: mapped just now, known to nobody.
    unsafe {
        let huge = huge_pages::advise(base, SEGMENT, huge_pages::wanted_for_segments() && huge_pages::are_cheap(1));
        segment.huge.store(huge, Relaxed);
        if huge {
            huge_pages::touch_and_time(base);
        }
    }
    page_map::set_segment(base, ptr::from_ref(segment) as usize);
    page_map::set(base, SLABS, page_map::FREED);
    availability::note_mapped();
    // From here on whoever still has a hint to this descriptor, from the segment that it described before, may claim slabs: the
    // load in `change` pairs with this, and so finds the base and the rest that was stored above. An exchange and no store,
    // for the reason that `availability::publish` gives.
    segment.state.swap(State { free: ALL & !mask(0, slabs), dirty: 0 }.pack(), SeqCst);
    segment.publish();
    Some(Run { segment, first: 0, slabs, zero: true, resident: false })
}

/// Says in the page map that an empty span is no more.
pub fn mark_retired(span: &'static Span) {
    page_map::set(span.base(), span.slabs(), page_map::FREED);
}

/// Releases the slabs of an empty span that was marked.
pub fn release_retired(span: &'static Span) {
    if let Some(run) = Run::of(span) {
        run.release_marked();
    }
}

impl Segment {
    /// Gives the pages of free slabs back to the system. Unmaps the segment where nothing else is left in it. Returns how many
    /// bytes went back.
    pub fn purge(&'static self, which: Purge) -> usize {
        let (old, most) = match which {
            Purge::All => (ALL, SLABS),
            Purge::Aged => (self.idle.load(Relaxed), SLABS),
            // A huge page is not split for memory that may be wanted again at once.
            Purge::Bytes(bytes) => (ALL, if self.is_huge() { 0 } else { bytes / SLAB }),
        };
        let claimed = self.change(|state| {
            let aged = highest(state.dirty & old, most);
            // All slabs free and none of them young: take the clean ones too and unmap the whole.
            let whole = state.free == ALL && aged == state.dirty;
            // A huge page is not split for a little.
            let little = which != Purge::All && self.is_huge() && (aged.count_ones() as usize) < huge_pages::SPLIT_FOR;
            let wanted = if whole {
                ALL
            } else if little {
                0
            } else {
                aged
            };
            (wanted != 0).then_some((whole, wanted))
        });
        if let Some((_, taken)) = claimed {
            clear(&self.ahead, taken.free);
        }
        let purged = match claimed {
            None => 0,
            Some((true, taken)) => self.unmap(taken),
            Some((false, taken)) => self.purge_slabs(taken.dirty),
        };
        if !matches!(which, Purge::Bytes(_)) {
            self.idle.store(self.state().dirty, Relaxed);
        }
        purged
    }

    fn unmap(&'static self, taken: State) -> usize {
        let base = self.base();
        page_map::set_segment(base, 0);
        page_map::set(base, SLABS, 0);
        // SAFETY: every slab is claimed, so nobody refers to the segment.
        if unsafe { vm::unmap(base, SEGMENT) } {
            availability::note_unmapped();
            let bytes = taken.dirty.count_ones() as usize * SLAB;
            accounting::uncharge(bytes);
            SPARE.push(self);
            return bytes;
        }
        // Too many mappings, say. The segment is as it was.
        page_map::set_segment(base, ptr::from_ref(self) as usize);
        page_map::set(base, SLABS, page_map::FREED);
        self.release(taken.dirty, true);
        self.release(ALL & !taken.dirty, false);
        0
    }

    fn purge_slabs(&'static self, mut claimed: u32) -> usize {
        let mut purged = 0;
        while claimed != 0 {
            let first = claimed.trailing_zeros() as usize;
            let slabs = (claimed >> first).trailing_ones() as usize;
            let run = Run { segment: self, first, slabs, zero: false, resident: true };
            claimed &= !mask(first, slabs);
            if run.purge() {
                purged += slabs * SLAB;
            }
        }
        purged
    }
}

impl Run {
    /// Releases the slabs with their contents; they stay resident until the decay.
    pub fn release(self) {
        page_map::set(self.base(), self.slabs, page_map::FREED);
        self.release_marked();
    }

    /// The same for slabs that the page map says are free already.
    pub fn release_marked(self) {
        if availability::must_purge(self.slabs) {
            self.purge();
        } else {
            self.segment.release(mask(self.first, self.slabs), true);
        }
    }

    /// Purges the slabs, then releases them; false if the kernel refused and they are still dirty.
    fn purge(self) -> bool {
        let purged = self.segment.purge_range(self.base(), self.slabs * SLAB);
        if purged {
            accounting::uncharge(self.slabs * SLAB);
        }
        self.segment.release(mask(self.first, self.slabs), !purged);
        purged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_run_is_nobody_elses_until_released() {
        let whole = map(3).expect("memory");
        let segment = whole.segment;
        assert_eq!(segment.state(), State { free: ALL & !0b111, dirty: 0 });
        let run = segment.claim_at(3, 5).expect("free");
        assert!(run.zero && segment.claim_at(7, 1).is_none());
        run.release();
        assert_eq!(segment.state().dirty, 0b1111_1000);
        assert!(!segment.claim_at(3, 2).expect("free").zero, "old contents are not zero");
        Run { slabs: 2, ..run }.release();
        assert_eq!(segment.purge(Purge::Aged), 0, "young dirt stays for one pass");
        assert_eq!(segment.purge(Purge::Bytes(SLAB)), SLAB);
        assert_eq!(segment.state().dirty, 0b0111_1000, "the last of them");
        assert_eq!(segment.purge(Purge::Aged), 4 * SLAB);
        assert_eq!(segment.state(), State { free: ALL & !0b111, dirty: 0 });
        whole.release();
        assert_eq!(segment.purge(Purge::All), 3 * SLAB, "an empty segment is unmapped");
        assert_eq!(segment.state(), State { free: 0, dirty: 0 });
    }

    #[test]
    fn slabs_brought_in_ahead_are_resident_and_still_zero() {
        let run = map(1).expect("memory");
        run.bring_in_with(4);
        assert_eq!(run.segment.state().dirty, 0b1110, "resident, so the decay takes them back");
        let next = run.segment.claim(2).expect("free");
        assert!(next.first == 1 && next.zero && next.resident);
        // SAFETY: claimed, and mapped.
        let words = unsafe { core::slice::from_raw_parts(next.base() as *const u64, 2 * SLAB / size_of::<u64>()) };
        assert!(words.iter().all(|word| *word == 0));
        next.bring_in_with(8);
        assert_eq!(run.segment.state().dirty, 0b1000, "once is enough");
        next.release();
        assert!(!run.segment.claim(2).expect("free").zero, "its contents are old now");
        let last = run.segment.claim_at(31, 1).expect("free");
        last.bring_in_with(8);
        assert_eq!(run.segment.state().dirty, 0b1000, "nothing lies behind the last slab");
    }

    #[test]
    fn a_huge_page_is_split_for_enough_only() {
        let run = map(SLABS).expect("memory");
        let segment = run.segment;
        segment.huge.store(true, Relaxed);
        Run { slabs: huge_pages::SPLIT_FOR - 1, ..run }.release();
        let pass = || segment.purge(Purge::Aged) != 0;
        assert!(!pass() && !pass() && segment.is_huge(), "too little to split for");
        Run { first: huge_pages::SPLIT_FOR - 1, slabs: 1, ..run }.release();
        assert!(!pass() && pass() && !segment.is_huge());
        assert_eq!(segment.state().dirty, 0);
        segment.huge.store(true, Relaxed);
        Run { first: 8, slabs: 1, ..run }.release();
        assert!(segment.purge(Purge::All) == SLAB && !segment.is_huge(), "all means all");
    }
}
