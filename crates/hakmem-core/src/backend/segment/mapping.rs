//! Maps, purges and unmaps segments. A segment is mapped when no other has room, purged slab by slab, and unmapped when
//! all of it is free.
//!
//! # Safety
//! The thread that claimed slabs owns their memory until it releases them.

use super::descriptor::{Claim, Segment};
use super::registry::{self, SPARE_SEGMENTS};
use super::state::{EVERY_SLAB, State, clear, highest, mask};
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
pub fn map(slabs: usize) -> Option<Claim> {
    if !accounting::charge(slabs * SLAB) {
        return None;
    }
    let run = map_accounted(slabs);
    if run.is_none() {
        accounting::uncharge(slabs * SLAB);
    }
    run
}

fn map_accounted(slabs: usize) -> Option<Claim> {
    let segment = match SPARE_SEGMENTS.pop() {
        Some(segment) => segment,
        // SAFETY: the fields are atomics and cells of numbers and pointers, for which zero is valid. A zero state has
        // nothing free.
        None => unsafe { metadata::make::<Segment>() }?,
    };
    if segment.index.load(Relaxed) == 0 && !registry::register(segment) {
        // It gets its number when the system has memory for the registry again.
        SPARE_SEGMENTS.push(segment);
        return None;
    }
    let base = vm::map_aligned(SEGMENT, SEGMENT);
    if base == 0 {
        SPARE_SEGMENTS.push(segment);
        return None;
    }
    if !page_map::cover(base, SEGMENT) {
        // SAFETY: mapped just now, and no other thread knows of it.
        unsafe { vm::unmap(base, SEGMENT) };
        SPARE_SEGMENTS.push(segment);
        return None;
    }
    segment.base.store(base, Relaxed);
    segment.dirty_at_last_pass.store(0, Relaxed);
    segment.prefaulted.store(0, Relaxed);
    // SAFETY: mapped just now, and no other thread knows of it.
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
    // From here on another thread may claim slabs by a hint that was published when this descriptor described
    // another segment. The load in `claim_chosen` pairs with this exchange, so that thread finds the base and all else
    // that was stored above. It is an exchange, not a store, for the reason that `availability::publish` gives.
    segment.state.swap(State { free: EVERY_SLAB & !mask(0, slabs), dirty: 0 }.pack(), SeqCst);
    segment.publish();
    Some(Claim { segment, first: 0, slabs, zero: true, resident: false })
}

/// Marks the slabs of an empty span as free in the page map.
pub fn mark_retired(span: &'static Span) {
    page_map::set(span.base(), span.slabs(), page_map::FREED);
}

/// Releases the slabs of an empty span that [`mark_retired`] was called for.
pub fn release_retired(span: &'static Span) {
    if let Some(run) = Claim::of(span) {
        run.release_marked();
    }
}

impl Segment {
    /// Purges free slabs, and unmaps the segment where all of it is free. Returns how many bytes went back to the
    /// system.
    pub fn purge(&'static self, which: Purge) -> usize {
        let (old, most) = match which {
            Purge::All => (EVERY_SLAB, SLABS),
            Purge::Aged => (self.dirty_at_last_pass.load(Relaxed), SLABS),
            // A huge page is not split for memory that may be needed again soon.
            Purge::Bytes(bytes) => (EVERY_SLAB, if self.is_huge() { 0 } else { bytes / SLAB }),
        };
        let claimed = self.claim_chosen(|state| {
            let aged = highest(state.dirty & old, most);
            // All slabs are free, and all dirty ones are due: claim the clean ones too and unmap the segment.
            let whole = state.free == EVERY_SLAB && aged == state.dirty;
            // A huge page is not split for a few slabs.
            let little = which != Purge::All && self.is_huge() && (aged.count_ones() as usize) < huge_pages::SPLIT_FOR;
            let wanted = if whole {
                EVERY_SLAB
            } else if little {
                0
            } else {
                aged
            };
            (wanted != 0).then_some((whole, wanted))
        });
        if let Some((_, taken)) = claimed {
            clear(&self.prefaulted, taken.free);
        }
        let purged = match claimed {
            None => 0,
            Some((true, taken)) => self.unmap(taken),
            Some((false, taken)) => self.purge_slabs(taken.dirty),
        };
        if !matches!(which, Purge::Bytes(_)) {
            self.dirty_at_last_pass.store(self.state().dirty, Relaxed);
        }
        purged
    }

    fn unmap(&'static self, taken: State) -> usize {
        let base = self.base();
        page_map::set_segment(base, 0);
        page_map::set(base, SLABS, 0);
        // SAFETY: this thread has claimed every slab, so no other thread accesses the segment.
        if unsafe { vm::unmap(base, SEGMENT) } {
            availability::note_unmapped();
            let bytes = taken.dirty.count_ones() as usize * SLAB;
            accounting::uncharge(bytes);
            SPARE_SEGMENTS.push(self);
            return bytes;
        }
        // The kernel refused (too many mappings, say). The segment is as before.
        page_map::set_segment(base, ptr::from_ref(self) as usize);
        page_map::set(base, SLABS, page_map::FREED);
        self.release(taken.dirty, true);
        self.release(EVERY_SLAB & !taken.dirty, false);
        0
    }

    fn purge_slabs(&'static self, mut claimed: u32) -> usize {
        let mut purged = 0;
        while claimed != 0 {
            let first = claimed.trailing_zeros() as usize;
            let slabs = (claimed >> first).trailing_ones() as usize;
            let run = Claim { segment: self, first, slabs, zero: false, resident: true };
            claimed &= !mask(first, slabs);
            if run.purge() {
                purged += slabs * SLAB;
            }
        }
        purged
    }
}

impl Claim {
    /// Releases the slabs with their contents; they stay resident until the decay purges them.
    pub fn release(self) {
        page_map::set(self.base(), self.slabs, page_map::FREED);
        self.release_marked();
    }

    /// Does the same for slabs that are free in the page map already.
    pub fn release_marked(self) {
        if availability::must_purge(self.slabs) {
            self.purge();
        } else {
            self.segment.release(mask(self.first, self.slabs), true);
        }
    }

    /// Purges the slabs, then releases them. Returns false if the kernel refused; they are dirty then.
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
    fn a_claimed_run_cannot_be_claimed_again_until_released() {
        let whole = map(3).expect("memory");
        let segment = whole.segment;
        assert_eq!(segment.state(), State { free: EVERY_SLAB & !0b111, dirty: 0 });
        let run = segment.claim_at(3, 5).expect("free");
        assert!(run.zero && segment.claim_at(7, 1).is_none());
        run.release();
        assert_eq!(segment.state().dirty, 0b1111_1000);
        assert!(!segment.claim_at(3, 2).expect("free").zero, "old contents are not zero");
        Claim { slabs: 2, ..run }.release();
        assert_eq!(segment.purge(Purge::Aged), 0, "slabs that were just freed stay for one pass");
        assert_eq!(segment.purge(Purge::Bytes(SLAB)), SLAB);
        assert_eq!(segment.state().dirty, 0b0111_1000, "the last slab was purged");
        assert_eq!(segment.purge(Purge::Aged), 4 * SLAB);
        assert_eq!(segment.state(), State { free: EVERY_SLAB & !0b111, dirty: 0 });
        whole.release();
        assert_eq!(segment.purge(Purge::All), 3 * SLAB, "an empty segment is unmapped");
        assert_eq!(segment.state(), State { free: 0, dirty: 0 });
    }

    #[test]
    fn prefaulted_slabs_are_resident_and_still_zero() {
        let run = map(1).expect("memory");
        run.prefault_up_to(4);
        assert_eq!(run.segment.state().dirty, 0b1110, "resident, so the decay takes them back");
        let next = run.segment.claim(2).expect("free");
        assert!(next.first == 1 && next.zero && next.resident);
        // SAFETY: this thread has claimed the slabs, which are mapped.
        let words = unsafe { core::slice::from_raw_parts(next.base() as *const u64, 2 * SLAB / size_of::<u64>()) };
        assert!(words.iter().all(|word| *word == 0));
        next.prefault_up_to(8);
        assert_eq!(run.segment.state().dirty, 0b1000, "slabs are prefaulted once");
        next.release();
        assert!(!run.segment.claim(2).expect("free").zero, "its contents are old after use");
        let last = run.segment.claim_at(31, 1).expect("free");
        last.prefault_up_to(8);
        assert_eq!(run.segment.state().dirty, 0b1000, "nothing lies behind the last slab");
    }

    #[test]
    fn a_huge_page_is_split_for_enough_slabs_only() {
        let run = map(SLABS).expect("memory");
        let segment = run.segment;
        segment.huge.store(true, Relaxed);
        Claim { slabs: huge_pages::SPLIT_FOR - 1, ..run }.release();
        let pass = || segment.purge(Purge::Aged) != 0;
        assert!(!pass() && !pass() && segment.is_huge(), "too little to split for");
        Claim { first: huge_pages::SPLIT_FOR - 1, slabs: 1, ..run }.release();
        assert!(!pass() && pass() && !segment.is_huge());
        assert_eq!(segment.state().dirty, 0);
        segment.huge.store(true, Relaxed);
        Claim { first: 8, slabs: 1, ..run }.release();
        assert!(segment.purge(Purge::All) == SLAB && !segment.is_huge(), "`All` purges any number of slabs");
    }
}
