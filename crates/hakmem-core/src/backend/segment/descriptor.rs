//! Segments: 2 MiB of address space in 32 slabs, and the one word that says which of them are free.
//!
//! A slab is in one of three states, which only [`Segment::state`] records:
//!
//! ```text
//!   taken --release--> free, dirty --purge--> free, clean
//!     ^                    |                      |
//!     +------- claim ------+----------------------+
//! ```
//!
//! A claim or a release is one compare-and-swap of that word: no lock is held and no state is ever half written. A
//! process that forks in the middle of it loses one span at most. Purging claims the slabs like any allocation and
//! releases them clean, so no other thread can claim them during the system call. A segment whose 32 slabs are all free
//! can be claimed as a whole and unmapped; its descriptor is reused for another segment.
//!
//! # Safety
//! The thread that claimed slabs owns their memory until it releases them.

use super::state::{State, clear, find_run, longest_run, mask};
use crate::backend::availability::{self, Summary};
use crate::backend::huge_pages;
use crate::backend::prefault;
use crate::backend::span::Span;
use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB, SLABS};
use crate::base::sync::Linked;
use crate::map::page_map;
use core::ptr;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, SeqCst},
};
use hakmem_os::vm;

/// Descriptor of a segment. It lies outside of the segment and is never unmapped.
#[repr(C, align(64))]
pub struct Segment {
    /// Low half: slabs that are free. High half: free slabs that hold old contents.
    pub(super) state: AtomicU64,
    /// Slabs that were free and dirty at the last pass of the decay, and have not been claimed since.
    pub(super) dirty_at_last_pass: AtomicU32,
    /// Number in the registry; 0 is none.
    pub(super) index: AtomicU32,
    /// The bits that [`availability`] has for this segment.
    pub(super) published: AtomicU32,
    /// Whether the kernel was asked for huge pages here.
    pub(super) huge: AtomicBool,
    /// Free and dirty slabs that were prefaulted before any thread claimed them: they are resident, and zero.
    pub(super) prefaulted: AtomicU32,
    pub(super) base: AtomicUsize,
    pub(super) link: AtomicPtr<Segment>,
    /// Descriptors of the spans, each at the index of its first slab.
    pub spans: [Span; SLABS],
}

// SAFETY: `link` returns one field; `metadata` makes descriptors, so they are never unmapped; they are aligned to 64.
unsafe impl Linked for Segment {
    fn link(&self) -> &AtomicPtr<Segment> {
        &self.link
    }
}

/// Claimed slabs: `slabs` slabs of a segment in a row, from slab `first`.
#[derive(Clone, Copy)]
pub struct Claim {
    /// The segment that they belong to.
    pub segment: &'static Segment,
    /// Number of the first slab.
    pub first: usize,
    /// Number of slabs.
    pub slabs: usize,
    /// Whether all of them are zero, fresh from the system.
    pub zero: bool,
    /// Whether any of them was touched or prefaulted.
    pub resident: bool,
}

/// Returns the segment that `address` lies in, if there is one.
#[inline]
pub fn containing(address: usize) -> Option<&'static Segment> {
    // SAFETY: the page map holds zero or the address of a descriptor, which is never unmapped.
    unsafe { (page_map::segment_at(address) as *const Segment).as_ref() }
}

/// Returns the span that contains `block`, which is a block of this allocator or the start of a run.
#[inline]
pub fn span_of(block: usize) -> Option<&'static Span> {
    let segment = containing(block)?;
    let slab = block / SLAB % SLABS;
    Some(&segment.spans[slab - segment.spans[slab].slabs_before()])
}

impl Segment {
    /// Returns the address of the first slab.
    pub fn base(&self) -> usize {
        self.base.load(Relaxed)
    }

    pub(super) fn is_mapped(&'static self) -> bool {
        containing(self.base()).is_some_and(|found| ptr::eq(found, self))
    }

    pub(super) fn publish(&self) {
        availability::publish(self.index.load(Relaxed) as usize, &self.published, || self.summary());
    }

    pub(super) fn summary(&self) -> Summary {
        let state = State::unpack(self.state.load(SeqCst));
        Summary::new(longest_run(state.free), state.dirty != 0)
    }

    /// Returns which slabs are free at this moment.
    pub fn state(&self) -> State {
        State::unpack(self.state.load(Acquire))
    }

    /// Claims `slabs` slabs in a row, dirty ones rather than clean ones.
    pub fn claim(&'static self, slabs: usize) -> Option<Claim> {
        let (first, taken) = self.claim_chosen(|state| {
            let first = find_run(state.dirty, slabs).or_else(|| find_run(state.free, slabs))?;
            Some((first, mask(first, slabs)))
        })?;
        let run = self.grant(first, slabs, taken)?;
        // A segment gets a huge page when it becomes full, if it was mapped while the process was small or its huge
        // page was split.
        if self.state().free == 0 && !self.is_huge() && huge_pages::wanted_for_segments() {
            // SAFETY: this is advice only, and the slabs just claimed keep the segment mapped.
            self.huge.store(unsafe { huge_pages::advise(self.base(), SEGMENT, true) }, Relaxed);
        }
        Some(run)
    }

    /// Accounts for slabs that were just claimed, and returns them as a run. Where the clean ones would exceed the hard
    /// limit, releases all of them and returns `None`.
    pub(super) fn grant(&'static self, first: usize, slabs: usize, taken: State) -> Option<Claim> {
        let clean = taken.free & !taken.dirty;
        if !accounting::charge(clean.count_ones() as usize * SLAB) {
            self.release(taken.dirty, true);
            self.release(clean, false);
            return None;
        }
        if clean != 0 {
            accounting::note_use();
        }
        let prefaulted = clear(&self.prefaulted, taken.free);
        Some(Claim { segment: self, first, slabs, zero: taken.dirty & !prefaulted == 0, resident: taken.dirty != 0 })
    }

    /// Whether the kernel was asked for huge pages here.
    pub fn is_huge(&self) -> bool {
        self.huge.load(Relaxed)
    }

    /// Claims exactly these slabs, if all of them are free. A medium block grows in place by this.
    pub fn claim_at(&'static self, first: usize, slabs: usize) -> Option<Claim> {
        if first + slabs > SLABS {
            return None;
        }
        self.claim_chosen(|state| {
            let wanted = mask(first, slabs);
            (state.free & wanted == wanted).then_some((first, wanted))
        })
        .and_then(|(first, taken)| self.grant(first, slabs, taken))
    }

    /// Claims the slabs that `choose` picks from the state. Returns the first part of its answer, and the state of the
    /// claimed slabs.
    ///
    /// The exchange is `SeqCst`, as is the one in `release`, for the reason that [`availability::publish`] gives.
    pub(super) fn claim_chosen<T>(&'static self, choose: impl Fn(State) -> Option<(T, u32)>) -> Option<(T, State)> {
        let mut word = self.state.load(Acquire);
        loop {
            let state = State::unpack(word);
            let (answer, wanted) = choose(state)?;
            let left = State { free: state.free & !wanted, dirty: state.dirty & !wanted };
            match self.state.compare_exchange_weak(word, left.pack(), SeqCst, Acquire) {
                Ok(_) => {
                    let taken = State { free: wanted, dirty: state.dirty & wanted };
                    clear(&self.dirty_at_last_pass, wanted);
                    availability::note_dirty(-(taken.dirty.count_ones() as isize));
                    self.publish();
                    return Some((answer, taken));
                }
                Err(now) => word = now,
            }
        }
    }

    /// Releases slabs, so that any thread can claim them.
    pub(super) fn release(&'static self, wanted: u32, dirty: bool) {
        let dirty = if dirty { wanted } else { 0 };
        self.state.fetch_or(State { free: wanted, dirty }.pack(), SeqCst);
        availability::note_dirty(dirty.count_ones() as isize);
        self.publish();
    }

    /// Purges the pages of a range whose contents are not needed; false where the kernel refuses.
    pub fn purge_range(&self, at: usize, bytes: usize) -> bool {
        if self.huge.swap(false, Relaxed) {
            // Otherwise the kernel would fill the hole again, or take the pages only when the system is short of
            // memory.
            // SAFETY: the caller has claimed slabs or a span in this segment, which keeps it mapped; the range holds
            // free blocks only.
            unsafe {
                huge_pages::advise(self.base(), SEGMENT, false);
                vm::split(at, bytes);
            }
        }
        // SAFETY: as above.
        unsafe { vm::purge(at, bytes) }
    }
}

impl Claim {
    /// Returns the slabs of a span that is in use, or was until now.
    pub fn of(span: &Span) -> Option<Claim> {
        let base = span.base();
        let segment = containing(base)?;
        Some(Claim { segment, first: base / SLAB % SLABS, slabs: span.slabs(), zero: false, resident: true })
    }

    /// Returns the address of the first byte.
    pub fn base(&self) -> usize {
        self.segment.base() + self.first * SLAB
    }

    /// Returns the descriptor of the span at these slabs.
    pub fn span(&self) -> &'static Span {
        &self.segment.spans[self.first]
    }

    /// Where the process grows, makes these slabs resident, which are about to be used, and the next ones with them,
    /// which stay free for the next claim.
    pub fn prefault(self) {
        self.prefault_up_to(prefault::slabs());
    }

    /// Makes these slabs resident, and as many of the next ones as make `slabs` in all, if these are free and
    /// untouched.
    pub(super) fn prefault_up_to(self, slabs: usize) {
        let more = slabs.min(SLABS - self.first).saturating_sub(self.slabs);
        if more == 0 || self.resident || self.segment.is_huge() || !accounting::charge(more * SLAB) {
            return;
        }
        let next = mask(self.first + self.slabs, more);
        let claimed =
            self.segment.claim_chosen(|state| (state.free & !state.dirty & next == next).then_some(((), next)));
        if claimed.is_some() {
            // SAFETY: this thread has claimed all of these slabs, and the kernel keeps what they hold, which is zero.
            unsafe { vm::populate(self.base(), (self.slabs + more) * SLAB) };
            accounting::note_use();
            self.segment.prefaulted.fetch_or(next, Relaxed);
            self.segment.release(next, true);
        } else {
            accounting::uncharge(more * SLAB);
        }
    }
}
