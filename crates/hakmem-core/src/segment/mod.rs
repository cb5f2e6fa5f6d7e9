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

mod fork;
mod registry;

pub use fork::after_fork_in_child;
pub use registry::{all, last_number, number};

use crate::footprint;
use crate::meta;
use crate::pagemap;
use crate::pages;
use crate::price;
use crate::room::{self, Summary};
use crate::sizes::{SEGMENT, SLAB, SLABS};
use crate::span::Span;
use crate::sync::{Linked, Stack};
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
    state: AtomicU64,
    /// Slabs that were already free and dirty when the last pass of the decay came by.
    idle: AtomicU32,
    /// Place in the registry; 0 is none.
    index: AtomicU32,
    /// What the bitmaps of [`room`] say of it.
    published: AtomicU32,
    /// Whether the kernel was asked for huge pages here.
    huge: AtomicBool,
    /// Free and dirty slabs that were brought in before anybody took them: resident, and zero.
    ahead: AtomicU32,
    base: AtomicUsize,
    link: AtomicPtr<Segment>,
    /// Descriptors of the spans, at the index of their first slab.
    pub spans: [Span; SLABS],
}

// SAFETY: `link` returns one field; made by `meta`, so never unmapped; aligned to 64.
unsafe impl Linked for Segment {
    fn link(&self) -> &AtomicPtr<Segment> {
        &self.link
    }
}

/// Which free memory is to go back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purge {
    /// All of it.
    All,
    /// What the last pass of the decay found free already.
    Aged,
    /// So many bytes at most.
    Bytes(usize),
}

impl Purge {
    /// What is left to do once `bytes` went back.
    pub fn without(self, bytes: usize) -> Purge {
        if let Purge::Bytes(most) = self { Purge::Bytes(most.saturating_sub(bytes)) } else { self }
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

/// The state of all slabs at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Free slabs, one bit each.
    pub free: u32,
    /// Free slabs that hold old contents: a subset of `free`.
    pub dirty: u32,
}

impl State {
    fn unpack(word: u64) -> State {
        State { free: word as u32, dirty: (word >> 32) as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.free) | u64::from(self.dirty) << 32
    }
}

const ALL: u32 = u32::MAX;

/// Descriptors without a segment.
static SPARE: Stack<Segment> = Stack::new();
/// The descriptors that have a segment.
pub fn mapped() -> impl Iterator<Item = &'static Segment> {
    all().filter(|segment| segment.is_mapped())
}

/// The segment that `address` lies in, if it is one of ours.
#[inline]
pub fn containing(address: usize) -> Option<&'static Segment> {
    // SAFETY: the page map holds zero or the address of a descriptor, which lives for ever.
    unsafe { (pagemap::segment_at(address) as *const Segment).as_ref() }
}

/// Maps a new segment, with its first `slabs` slabs claimed; `None` when the system has no memory.
pub fn map(slabs: usize) -> Option<Run> {
    if !footprint::take(slabs * SLAB) {
        return None;
    }
    let run = map_taken(slabs);
    if run.is_none() {
        footprint::give(slabs * SLAB);
    }
    run
}

fn map_taken(slabs: usize) -> Option<Run> {
    let segment = match SPARE.pop() {
        Some(segment) => segment,
        // SAFETY: atomics and cells of numbers and null pointers: zero is valid. A zero state has nothing free.
        None => unsafe { meta::make::<Segment>() }?,
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
    if !pagemap::cover(base, SEGMENT) {
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
        let huge = pages::advise(base, SEGMENT, pages::huge_segments() && price::is_fair(1));
        segment.huge.store(huge, Relaxed);
        if huge {
            price::pay(base);
        }
    }
    pagemap::set_segment(base, ptr::from_ref(segment) as usize);
    pagemap::set(base, SLABS, pagemap::FREED);
    room::note_mapped();
    // From here on whoever still has a hint to this descriptor, from the segment that it described before, may claim slabs: the
    // load in `change` pairs with this, and so finds the base and the rest that was stored above. An exchange and no store,
    // for the reason that `room::publish` gives.
    segment.state.swap(State { free: ALL & !mask(0, slabs), dirty: 0 }.pack(), SeqCst);
    segment.publish();
    Some(Run { segment, first: 0, slabs, zero: true, resident: false })
}

impl Segment {
    /// Address of the first slab.
    pub fn base(&self) -> usize {
        self.base.load(Relaxed)
    }

    fn is_mapped(&'static self) -> bool {
        containing(self.base()).is_some_and(|found| ptr::eq(found, self))
    }

    fn publish(&self) {
        room::publish(self.index.load(Relaxed) as usize, &self.published, || self.summary());
    }

    fn summary(&self) -> Summary {
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
        if self.state().free == 0 && !self.is_huge() && pages::huge_segments() {
            // SAFETY: advice; the slabs just claimed keep the segment mapped.
            self.huge.store(unsafe { pages::advise(self.base(), SEGMENT, true) }, Relaxed);
        }
        Some(run)
    }

    /// The run that was claimed; its slabs go back where the clean ones would be beyond the hard limit.
    fn grant(&'static self, first: usize, slabs: usize, taken: State) -> Option<Run> {
        let clean = taken.free & !taken.dirty;
        if !footprint::take(clean.count_ones() as usize * SLAB) {
            self.release(taken.dirty, true);
            self.release(clean, false);
            return None;
        }
        if clean != 0 {
            footprint::note_use();
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
    fn change<T>(&'static self, choose: impl Fn(State) -> Option<(T, u32)>) -> Option<(T, State)> {
        let mut word = self.state.load(Acquire);
        loop {
            let state = State::unpack(word);
            let (answer, wanted) = choose(state)?;
            let left = State { free: state.free & !wanted, dirty: state.dirty & !wanted };
            match self.state.compare_exchange_weak(word, left.pack(), SeqCst, Acquire) {
                Ok(_) => {
                    let taken = State { free: wanted, dirty: state.dirty & wanted };
                    clear(&self.idle, wanted);
                    room::note_dirty(-(taken.dirty.count_ones() as isize));
                    self.publish();
                    return Some((answer, taken));
                }
                Err(now) => word = now,
            }
        }
    }

    /// Gives slabs back: to whoever claims them next.
    fn release(&'static self, wanted: u32, dirty: bool) {
        let dirty = if dirty { wanted } else { 0 };
        self.state.fetch_or(State { free: wanted, dirty }.pack(), SeqCst);
        room::note_dirty(dirty.count_ones() as isize);
        self.publish();
    }

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
            let little = which != Purge::All && self.is_huge() && (aged.count_ones() as usize) < pages::SPLIT_FOR;
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
        pagemap::set_segment(base, 0);
        pagemap::set(base, SLABS, 0);
        // SAFETY: every slab is claimed, so nobody refers to the segment.
        if unsafe { vm::unmap(base, SEGMENT) } {
            room::note_unmapped();
            let bytes = taken.dirty.count_ones() as usize * SLAB;
            footprint::give(bytes);
            SPARE.push(self);
            return bytes;
        }
        // Too many mappings, say. The segment is as it was.
        pagemap::set_segment(base, ptr::from_ref(self) as usize);
        pagemap::set(base, SLABS, pagemap::FREED);
        self.release(taken.dirty, true);
        self.release(ALL & !taken.dirty, false);
        0
    }

    /// Gives the pages of a range back, of which nobody needs the contents; false where the kernel refuses.
    pub fn give_back(&self, at: usize, bytes: usize) -> bool {
        if self.huge.swap(false, Relaxed) {
            // Else the hole would be filled again, or go back to the system only when that is short of memory.
            // SAFETY: what lies in the range keeps the segment mapped, and its contents are free blocks only.
            unsafe {
                pages::advise(self.base(), SEGMENT, false);
                vm::split(at, bytes);
            }
        }
        // SAFETY: as above.
        unsafe { vm::purge(at, bytes) }
    }

    fn purge_slabs(&'static self, mut claimed: u32) -> usize {
        let mut purged = 0;
        while claimed != 0 {
            let first = claimed.trailing_zeros() as usize;
            let slabs = (claimed >> first).trailing_ones() as usize;
            let run = Run { segment: self, first, slabs, zero: false, resident: true };
            claimed &= !mask(first, slabs);
            if run.give_back() {
                purged += slabs * SLAB;
            }
        }
        purged
    }
}

impl Run {
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
        self.bring_in_with(pages::ahead());
    }

    /// Brings in these slabs, and with them as many of the next as make `slabs`, if these are free and untouched.
    fn bring_in_with(self, slabs: usize) {
        let more = slabs.min(SLABS - self.first).saturating_sub(self.slabs);
        if more == 0 || self.resident || self.segment.is_huge() || !footprint::take(more * SLAB) {
            return;
        }
        let next = mask(self.first + self.slabs, more);
        let claimed = self.segment.change(|state| (state.free & !state.dirty & next == next).then_some(((), next)));
        if claimed.is_some() {
            // SAFETY: all of these slabs are claimed, and the kernel keeps what they hold, which is zero.
            unsafe { vm::populate(self.base(), (self.slabs + more) * SLAB) };
            footprint::note_use();
            self.segment.ahead.fetch_or(next, Relaxed);
            self.segment.release(next, true);
        } else {
            footprint::give(more * SLAB);
        }
    }

    /// Releases the slabs with their contents; they stay resident until the decay.
    pub fn release(self) {
        pagemap::set(self.base(), self.slabs, pagemap::FREED);
        self.release_marked();
    }

    /// The same for slabs that the page map says are free already.
    pub fn release_marked(self) {
        if room::must_purge(self.slabs) {
            self.give_back();
        } else {
            self.segment.release(mask(self.first, self.slabs), true);
        }
    }

    /// Purges the slabs, then releases them; false if the kernel refused and they are still dirty.
    fn give_back(self) -> bool {
        let purged = self.segment.give_back(self.base(), self.slabs * SLAB);
        if purged {
            footprint::give(self.slabs * SLAB);
        }
        self.segment.release(mask(self.first, self.slabs), !purged);
        purged
    }
}

/// Clears bits that whoever calls has claimed; what was there. Most often there is nothing to clear.
fn clear(bits: &AtomicU32, claimed: u32) -> u32 {
    let now = bits.load(Relaxed);
    if now & claimed != 0 { bits.fetch_and(!claimed, Relaxed) } else { now }
}

fn mask(first: usize, slabs: usize) -> u32 {
    (((1_u64 << slabs) - 1) << first) as u32
}

/// The highest `most` of the set bits.
fn highest(mut bits: u32, most: usize) -> u32 {
    while bits.count_ones() as usize > most {
        bits &= bits - 1;
    }
    bits
}

/// The lowest start of `slabs` set bits in a row.
fn find_run(bits: u32, slabs: usize) -> Option<usize> {
    let mut starts = bits;
    let mut have = 1;
    while have < slabs && starts != 0 {
        let step = usize::min(have, slabs - have);
        starts &= starts >> step;
        have += step;
    }
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}

/// The largest power of two such that as many set bits stand in a row, up to 16; 0 if none is set.
fn longest_run(bits: u32) -> u32 {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let sixteen = eight & eight >> 8;
    u32::from(bits != 0)
        + u32::from(two != 0)
        + 2 * u32::from(four != 0)
        + 4 * u32::from(eight != 0)
        + 8 * u32::from(sixteen != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_where_they_are() {
        for bits in [0, 1, 0b1011_0111, 0xF0F0_00FF, ALL, 0x8000_0001, 0x7FFF_FFFE] {
            for slabs in 1..=32 {
                let expected = (0..=32 - slabs).find(|first| bits & mask(*first, slabs) == mask(*first, slabs));
                assert_eq!(find_run(bits, slabs), expected, "{slabs} in {bits:b}");
            }
            let longest = [16, 8, 4, 2, 1].into_iter().find(|slabs| find_run(bits, *slabs).is_some()).unwrap_or(0);
            assert_eq!(longest_run(bits), longest as u32);
        }
    }

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
        Run { slabs: pages::SPLIT_FOR - 1, ..run }.release();
        let pass = || segment.purge(Purge::Aged) != 0;
        assert!(!pass() && !pass() && segment.is_huge(), "too little to split for");
        Run { first: pages::SPLIT_FOR - 1, slabs: 1, ..run }.release();
        assert!(!pass() && pass() && !segment.is_huge());
        assert_eq!(segment.state().dirty, 0);
        segment.huge.store(true, Relaxed);
        Run { first: 8, slabs: 1, ..run }.release();
        assert!(segment.purge(Purge::All) == SLAB && !segment.is_huge(), "all means all");
    }
}
