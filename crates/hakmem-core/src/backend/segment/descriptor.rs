//! Segments: 2 MiB of address space in 32 slabs, and the one word that says which of them are free.
//!
//! A slab is in one of three states, and [`Segment::state`] is the only place that says so:
//!
//! ```text
//!   taken --release--> free, dirty --purge--> free, clean
//!     ^                    |                      |
//!     +------- claim ------+----------------------+
//! ```
//!
//! A claim or a release is one compare-and-swap of that word, so no lock is held, no state is ever half written, and a
//! process that forks in the middle of it loses one span at most. Purging claims the slabs like any allocation and releases
//! them clean, so the kernel call happens while nobody else can want them. A segment whose 32 slabs are all free can be
//! claimed whole and unmapped; its descriptor stays and serves another segment later.
//!
//! # Safety
//! Whoever claimed slabs owns their memory until it releases them.

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

/// Descriptor of a segment; out of band, never unmapped.
#[repr(C, align(64))]
pub struct Segment {
    /// Low half: slabs that are free. High half: those of them that hold old contents.
    pub(super) state: AtomicU64,
    /// Slabs that were already free and dirty when the last pass of the decay came by.
    pub(super) idle: AtomicU32,
    /// Place in the registry; 0 is none.
    pub(super) index: AtomicU32,
    /// What the bitmaps of [`room`] say of it.
    pub(super) published: AtomicU32,
    /// Whether the kernel was asked for huge pages here.
    pub(super) huge: AtomicBool,
    /// Free and dirty slabs that were brought in before anybody took them: resident, and zero.
    pub(super) ahead: AtomicU32,
    pub(super) base: AtomicUsize,
    pub(super) link: AtomicPtr<Segment>,
    /// Descriptors of the spans, at the index of their first slab.
    pub spans: [Span; SLABS],
}

// SAFETY: `link` returns one field; made by `meta`, so never unmapped; aligned to 64.
unsafe impl Linked for Segment {
    fn link(&self) -> &AtomicPtr<Segment> {
        &self.link
    }
}

/// Slabs claimed from a segment: a run of `slabs` from slab `first`.
#[derive(Clone, Copy)]
pub struct Run {
    /// The segment.
    pub segment: &'static Segment,
    /// First slab.
    pub first: usize,
    /// How many.
    pub slabs: usize,
    /// Whether all of it is zero, fresh from the system.
    pub zero: bool,
    /// Whether any of it was touched, or brought in.
    pub resident: bool,
}

/// The segment that `address` lies in, if it is one of ours.
#[inline]
pub fn containing(address: usize) -> Option<&'static Segment> {
    // SAFETY: the page map holds zero or the address of a descriptor, which lives for ever.
    unsafe { (page_map::segment_at(address) as *const Segment).as_ref() }
}

/// The span that a block of ours lies in, or a run that is not used up.
#[inline]
pub fn span_of(block: usize) -> Option<&'static Span> {
    let segment = containing(block)?;
    let slab = block / SLAB % SLABS;
    Some(&segment.spans[slab - segment.spans[slab].back()])
}

impl Segment {
    /// Address of the first slab.
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

    /// What is free at this moment.
    pub fn state(&self) -> State {
        State::unpack(self.state.load(Acquire))
    }

    /// Claims `slabs` slabs in a row, used ones before fresh ones.
    pub fn claim(&'static self, slabs: usize) -> Option<Run> {
        let (first, taken) = self.change(|state| {
            let first = find_run(state.dirty, slabs).or_else(|| find_run(state.free, slabs))?;
            Some((first, mask(first, slabs)))
        })?;
        let run = self.grant(first, slabs, taken)?;
        // A segment that was mapped while the process was small, or whose huge page was split, gets one when it is full.
        if self.state().free == 0 && !self.is_huge() && huge_pages::wanted_for_segments() {
            // SAFETY: advice; the slabs just claimed keep the segment mapped.
            self.huge.store(unsafe { huge_pages::advise(self.base(), SEGMENT, true) }, Relaxed);
        }
        Some(run)
    }

    /// The run that was claimed; its slabs go back where the clean ones would be beyond the hard limit.
    pub(super) fn grant(&'static self, first: usize, slabs: usize, taken: State) -> Option<Run> {
        let clean = taken.free & !taken.dirty;
        if !accounting::charge(clean.count_ones() as usize * SLAB) {
            self.release(taken.dirty, true);
            self.release(clean, false);
            return None;
        }
        if clean != 0 {
            accounting::note_use();
        }
        let ahead = clear(&self.ahead, taken.free);
        Some(Run { segment: self, first, slabs, zero: taken.dirty & !ahead == 0, resident: taken.dirty != 0 })
    }

    /// Whether the kernel was asked for huge pages here.
    pub fn is_huge(&self) -> bool {
        self.huge.load(Relaxed)
    }

    /// Claims exactly these slabs, if all of them are free: to grow a medium block in place.
    pub fn claim_at(&'static self, first: usize, slabs: usize) -> Option<Run> {
        if first + slabs > SLABS {
            return None;
        }
        self.change(|state| {
            let wanted = mask(first, slabs);
            (state.free & wanted == wanted).then_some((first, wanted))
        })
        .and_then(|(first, taken)| self.grant(first, slabs, taken))
    }

    /// Claims what `choose` picks out of the state; returns its first answer and what was taken.
    pub(super) fn change<T>(&'static self, choose: impl Fn(State) -> Option<(T, u32)>) -> Option<(T, State)> {
        let mut word = self.state.load(Acquire);
        loop {
            let state = State::unpack(word);
            let (answer, wanted) = choose(state)?;
            let left = State { free: state.free & !wanted, dirty: state.dirty & !wanted };
            match self.state.compare_exchange_weak(word, left.pack(), SeqCst, Acquire) {
                Ok(_) => {
                    let taken = State { free: wanted, dirty: state.dirty & wanted };
                    clear(&self.idle, wanted);
                    availability::note_dirty(-(taken.dirty.count_ones() as isize));
                    self.publish();
                    return Some((answer, taken));
                }
                Err(now) => word = now,
            }
        }
    }

    /// Gives slabs back: to whoever claims them next.
    pub(super) fn release(&'static self, wanted: u32, dirty: bool) {
        let dirty = if dirty { wanted } else { 0 };
        self.state.fetch_or(State { free: wanted, dirty }.pack(), SeqCst);
        availability::note_dirty(dirty.count_ones() as isize);
        self.publish();
    }

    /// Gives the pages of a range back, of which nobody needs the contents; false where the kernel refuses.
    pub fn purge_range(&self, at: usize, bytes: usize) -> bool {
        if self.huge.swap(false, Relaxed) {
            // Else the hole would be filled again, or go back to the system only when that is short of memory.
            // SAFETY: what lies in the range keeps the segment mapped, and its contents are free blocks only.
            unsafe {
                huge_pages::advise(self.base(), SEGMENT, false);
                vm::split(at, bytes);
            }
        }
        // SAFETY: as above.
        unsafe { vm::purge(at, bytes) }
    }
}

impl Run {
    /// The slabs of a span that is in use, or was until now.
    pub fn of(span: &Span) -> Option<Run> {
        let base = span.base();
        let segment = containing(base)?;
        Some(Run { segment, first: base / SLAB % SLABS, slabs: span.slabs(), zero: false, resident: true })
    }

    /// Address of the first byte.
    pub fn base(&self) -> usize {
        self.segment.base() + self.first * SLAB
    }

    /// The descriptor of the span that these slabs hold.
    pub fn span(&self) -> &'static Span {
        &self.segment.spans[self.first]
    }

    /// Where the process grows, brings in these slabs, which are to be used now, and with them the next ones, which then wait
    /// for the next claim.
    pub fn bring_in(self) {
        self.bring_in_with(prefault::slabs());
    }

    /// Brings in these slabs, and with them as many of the next as make `slabs`, if these are free and untouched.
    pub(super) fn bring_in_with(self, slabs: usize) {
        let more = slabs.min(SLABS - self.first).saturating_sub(self.slabs);
        if more == 0 || self.resident || self.segment.is_huge() || !accounting::charge(more * SLAB) {
            return;
        }
        let next = mask(self.first + self.slabs, more);
        let claimed = self.segment.change(|state| (state.free & !state.dirty & next == next).then_some(((), next)));
        if claimed.is_some() {
            // SAFETY: all of these slabs are claimed, and the kernel keeps what they hold, which is zero.
            unsafe { vm::populate(self.base(), (self.slabs + more) * SLAB) };
            accounting::note_use();
            self.segment.ahead.fetch_or(next, Relaxed);
            self.segment.release(next, true);
        } else {
            accounting::uncharge(more * SLAB);
        }
    }
}
