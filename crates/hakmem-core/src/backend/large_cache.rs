//! Mappings of large blocks, and those that are kept for a while after their block was freed.
//!
//! A kept mapping waits in one of 64 slots until a request comes that it can serve, or until it has waited for two purge passes.
//! A slot changes hands by one atomic exchange of its pointer. What is kept is used before the kernel is asked for more, so that
//! a process holds little more than it ever needed at one time:
//!
//! 1. The smallest kept mapping that is large enough is split; the rest waits on.
//! 2. If there is none, neighbours are joined: of any origin if that can be enough, else those that one call mapped.
//! 3. If that does not help, the largest is grown by the kernel: its pages need not be touched for the first time.
//! 4. At last, what is kept beyond the most that was recently live is unmapped before something is mapped.
//!
//! A descriptor says what it is at the moment (`Phase`), so that a child just forked can put back what was in the hands of a thread
//! that is no more.
//!
//! # Safety
//! A descriptor belongs to whoever took it out of a slot or off a stack, or to the holder of the block.

use crate::backend::purge::Purge;
use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB};
use crate::base::sync::{Linked, Stack};
use crate::base::wake_up;
use crate::map::metadata;
use crate::map::page_map;
use crate::policy;
use core::ptr;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use hakmem_os::vm;

/// Descriptor of a large block or of a kept mapping.
#[repr(C, align(64))]
pub struct Mapping {
    /// Where it begins.
    pub base: AtomicUsize,
    /// How long it is.
    pub bytes: AtomicUsize,
    /// Whether the kernel was asked for huge pages here.
    pub huge: AtomicBool,
    /// The number of the call that mapped it, also of its parts; [`MIXED`] where it was joined from several, which the kernel
    /// may see apart, and then resizes none.
    origin: AtomicUsize,
    /// Whether the kernel would not move it: the program may have changed the rights to a part of it, so it serves no second time.
    torn: AtomicBool,
    /// Passes of the decay that found it kept.
    age: AtomicUsize,
    phase: AtomicU32,
    link: AtomicPtr<Mapping>,
    /// The descriptor made before this one.
    older: AtomicPtr<Mapping>,
}

/// What a descriptor is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
enum Phase {
    /// The descriptor of nothing, or of what is just being mapped.
    Spare = 0,
    /// The program has the block.
    Live = 1,
    /// Its mapping is whole, and waits in a slot or in somebody's hands.
    Kept = 2,
    /// The kernel would not take its mapping back.
    Stuck = 3,
    /// The kernel is at work on its mapping.
    Changing = 4,
}

// SAFETY: `link` returns one field; made by `meta`, so never unmapped; aligned to 64.
unsafe impl Linked for Mapping {
    fn link(&self) -> &AtomicPtr<Mapping> {
        &self.link
    }
}

/// How many freed mappings are kept at most.
const SLOTS: usize = 64;

/// No number of a call.
const MIXED: usize = 0;
/// The last number of a call.
static ORIGINS: AtomicUsize = AtomicUsize::new(MIXED);

fn new_origin() -> usize {
    ORIGINS.fetch_add(1, Relaxed) + 1
}

/// Descriptors without a mapping.
static SPARE: Stack<Mapping> = Stack::new();
/// Mappings that the kernel would not take back.
static STUCK: Stack<Mapping> = Stack::new();
/// The descriptor made last.
static NEWEST: AtomicPtr<Mapping> = AtomicPtr::new(ptr::null_mut());
/// Whether it refused the last one.
static REFUSED: AtomicBool = AtomicBool::new(false);
static KEPT: [AtomicPtr<Mapping>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static KEPT_BYTES: AtomicUsize = AtomicUsize::new(0);
static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);
/// The most bytes live at one time, fading with each purge pass.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What large blocks hold, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Mapped in all.
    pub mapped: usize,
    /// Of that, freed and kept, or refused by the kernel.
    pub kept: usize,
}

/// What large blocks hold.
pub fn extent() -> Extent {
    Extent { mapped: MAPPED_BYTES.load(Relaxed), kept: KEPT_BYTES.load(SeqCst) }
}

/// Bytes of the freed mappings that stand in slots, found by looking; exact at rest.
pub fn count_kept() -> usize {
    // SAFETY: null or a descriptor, which lives for ever.
    let kept = KEPT.iter().filter_map(|slot| unsafe { slot.load(Acquire).as_ref() });
    kept.map(|mapping| mapping.bytes.load(Relaxed)).sum()
}

fn live() -> usize {
    MAPPED_BYTES.load(Relaxed).saturating_sub(KEPT_BYTES.load(Relaxed))
}

/// Notes that a block became live.
pub fn note_live() {
    PEAK.fetch_max(live(), Relaxed);
}

/// A descriptor without a mapping; `None` when the system has no memory.
pub fn describe() -> Option<&'static Mapping> {
    // SAFETY: atomics: zero is valid.
    let mapping = SPARE.pop().or_else(|| unsafe { metadata::make::<Mapping>() }.inspect(|made| list(made)))?;
    mapping.origin.store(new_origin(), Relaxed);
    mapping.torn.store(false, Relaxed);
    Some(mapping)
}

/// Puts a new descriptor into the list of all.
fn list(mapping: &'static Mapping) {
    let mut newest = NEWEST.load(Acquire);
    loop {
        mapping.older.store(newest, Relaxed);
        match NEWEST.compare_exchange(newest, ptr::from_ref(mapping).cast_mut(), AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => newest = now,
        }
    }
}

/// Every descriptor ever made, latest first.
fn all() -> impl Iterator<Item = &'static Mapping> {
    let mut at = NEWEST.load(Acquire);
    core::iter::from_fn(move || {
        // SAFETY: null or a descriptor, which lives for ever.
        let mapping = unsafe { at.as_ref() }?;
        at = mapping.older.load(Relaxed);
        Some(mapping)
    })
}

/// In a child just forked: puts what waited back where it waits, also from the hands of threads that are no more, and counts anew.
pub fn after_fork_in_child() {
    SPARE.reset();
    STUCK.reset();
    KEPT.iter().for_each(|slot| slot.store(ptr::null_mut(), Relaxed));
    let bytes_in = |phases: &[Phase]| {
        let counted = all().filter(|mapping| phases.contains(&mapping.phase()));
        counted.map(|mapping| mapping.bytes.load(Relaxed)).sum()
    };
    MAPPED_BYTES.store(bytes_in(&[Phase::Live, Phase::Kept, Phase::Stuck, Phase::Changing]), Relaxed);
    KEPT_BYTES.store(bytes_in(&[Phase::Stuck]), Relaxed);
    for mapping in all() {
        match mapping.phase() {
            Phase::Spare => SPARE.push(mapping),
            Phase::Stuck => STUCK.push(mapping),
            Phase::Kept => {
                page_map::set(mapping.base.load(Relaxed), 1, page_map::FREED);
                if !put_in_slot(mapping) {
                    unmap_or_wait(mapping);
                }
            }
            Phase::Live | Phase::Changing => {}
        }
    }
}

/// Gives a descriptor back that describes nothing.
pub fn forget(mapping: &'static Mapping) {
    mapping.set_phase(Phase::Spare);
    SPARE.push(mapping);
}

/// Keeps a mapping whose block was freed, or unmaps it.
pub fn put(mapping: &'static Mapping) {
    mapping.set_phase(Phase::Kept);
    let policy = policy::current();
    mapping.age.store(0, Relaxed);
    let wanted = policy.decay_ms != 0 && KEPT_BYTES.load(Relaxed) + mapping.bytes.load(Relaxed) <= policy.retain_bytes;
    if mapping.torn.load(Relaxed) || !(wanted && put_in_slot(mapping)) {
        unmap_or_wait(mapping);
    }
}

/// Puts a mapping where requests find it; false if every slot is taken.
fn put_in_slot(mapping: &'static Mapping) -> bool {
    let new = ptr::from_ref(mapping).cast_mut();
    // Sequentially consistent, as `wake_up` requires.
    KEPT_BYTES.fetch_add(mapping.bytes.load(Relaxed), SeqCst);
    wake_up::notify();
    for slot in KEPT.iter().filter(|slot| slot.load(Relaxed).is_null()) {
        if slot.compare_exchange(ptr::null_mut(), new, AcqRel, Relaxed).is_ok() {
            return true;
        }
    }
    KEPT_BYTES.fetch_sub(mapping.bytes.load(Relaxed), Relaxed);
    false
}

/// Takes what stands in `slot`, if it is `mapping`.
fn take_out(slot: &AtomicPtr<Mapping>, mapping: &Mapping) -> Option<&'static Mapping> {
    let expected = ptr::from_ref(mapping).cast_mut();
    slot.compare_exchange(expected, ptr::null_mut(), AcqRel, Relaxed).ok()?;
    // SAFETY: a descriptor, ours since the exchange.
    let mapping: &'static Mapping = unsafe { &*expected };
    KEPT_BYTES.fetch_sub(mapping.bytes.load(Relaxed), Relaxed);
    Some(mapping)
}

/// Takes the kept mapping of which `rank` says the least number, if it still says one when it is taken out.
fn take_least(rank: impl Fn(&Mapping) -> Option<usize>) -> Option<&'static Mapping> {
    let mut best: Option<(usize, &AtomicPtr<Mapping>, &Mapping)> = None;
    for slot in &KEPT {
        // SAFETY: null or a descriptor, which lives for ever; what is read of it is checked again once it is ours.
        if let Some(mapping) = unsafe { slot.load(Acquire).as_ref() }
            && let Some(number) = rank(mapping)
            && best.is_none_or(|(least, ..)| number < least)
        {
            best = Some((number, slot, mapping));
        }
    }
    let (_, slot, mapping) = best?;
    let mapping = take_out(slot, mapping)?;
    if rank(mapping).is_none() {
        put(mapping);
        return None;
    }
    Some(mapping)
}

/// A kept mapping of at least `bytes` at a multiple of `align`, however it comes about.
pub fn take(bytes: usize, align: usize) -> Option<&'static Mapping> {
    if KEPT_BYTES.load(Relaxed) == 0 {
        return None;
    }
    if let Some(mapping) = take_fitting(bytes, align) {
        return Some(mapping);
    }
    // Together too short, they can still be grown, if they are of one origin.
    if join_neighbours(KEPT_BYTES.load(Relaxed) >= bytes)
        && let Some(mapping) = take_fitting(bytes, align)
    {
        return Some(mapping);
    }
    if align <= SLAB { take_and_grow(bytes) } else { None }
}

fn take_fitting(bytes: usize, align: usize) -> Option<&'static Mapping> {
    let mapping = take_least(|mapping| {
        let have = mapping.bytes.load(Relaxed);
        (have >= bytes && mapping.base.load(Relaxed) & (align - 1) == 0).then_some(have)
    })?;
    split(mapping, bytes.next_multiple_of(SLAB));
    Some(mapping)
}

/// Cuts a mapping off at `bytes` and keeps the rest, if that is worth it and the kernel was not stingy.
fn split(mapping: &'static Mapping, bytes: usize) {
    let (base, have) = (mapping.base.load(Relaxed), mapping.bytes.load(Relaxed));
    if have < bytes + SLAB.max(bytes / 8) || REFUSED.load(Relaxed) || !page_map::cover(base + bytes, SLAB) {
        return;
    }
    let Some(rest) = describe() else { return };
    rest.base.store(base + bytes, Relaxed);
    rest.bytes.store(have - bytes, Relaxed);
    rest.huge.store(mapping.huge.load(Relaxed), Relaxed);
    rest.origin.store(mapping.origin.load(Relaxed), Relaxed);
    rest.age.store(mapping.age.load(Relaxed), Relaxed);
    // The rest is a mapping once the other one has let go of it: a child forked in between must not find it twice.
    mapping.bytes.store(bytes, Release);
    rest.set_phase(Phase::Kept);
    page_map::set(base + bytes, 1, page_map::FREED);
    if !put_in_slot(rest) {
        unmap_or_wait(rest);
    }
}

/// Joins kept mappings that lie side by side, of one origin only unless it may be any; whether there were some.
fn join_neighbours(any_origin: bool) -> bool {
    let mut any = false;
    for slot in &KEPT {
        // SAFETY: null or a descriptor, which lives for ever.
        let Some(mapping) = (unsafe { slot.load(Acquire).as_ref() }).and_then(|seen| take_out(slot, seen)) else {
            continue;
        };
        let huge = mapping.huge.load(Relaxed);
        let end = || mapping.base.load(Relaxed) + mapping.bytes.load(Relaxed);
        let begins_there = |other: &Mapping| {
            let alike = any_origin || other.origin.load(Relaxed) == mapping.origin.load(Relaxed);
            (alike && other.base.load(Relaxed) == end() && other.huge.load(Relaxed) == huge).then_some(0)
        };
        while let Some(next) = take_least(begins_there) {
            page_map::set(next.base.load(Relaxed), 1, 0);
            next.set_phase(Phase::Spare);
            mapping.bytes.fetch_add(next.bytes.load(Relaxed), Release);
            if next.origin.load(Relaxed) != mapping.origin.load(Relaxed) {
                mapping.origin.store(MIXED, Relaxed);
            }
            SPARE.push(next);
            any = true;
        }
        if !put_in_slot(mapping) {
            unmap_or_wait(mapping);
        }
    }
    any
}

/// Takes the largest kept mapping and lets the kernel make it longer: at least a quarter is there then.
fn take_and_grow(bytes: usize) -> Option<&'static Mapping> {
    let mapping = take_least(|mapping| {
        let have = mapping.bytes.load(Relaxed);
        let can = mapping.origin.load(Relaxed) != MIXED;
        (can && have < bytes && have >= bytes / 4).then_some(usize::MAX - have)
    })?;
    if mapping.grow(bytes.next_multiple_of(SLAB), SLAB) {
        return Some(mapping);
    }
    // As old as it was: what is refused must not keep it for ever.
    if !put_in_slot(mapping) {
        unmap_or_wait(mapping);
    }
    None
}

/// Unmaps what is kept beyond the most that was live recently, when `bytes` more are to be mapped.
pub fn unmap_excess(bytes: usize) {
    let most = PEAK.load(Relaxed).max(live() + bytes);
    while KEPT_BYTES.load(Relaxed) != 0
        && MAPPED_BYTES.load(Relaxed) + bytes > most + most / 8
        && let Some(mapping) = take_least(|mapping| Some(usize::MAX - mapping.age.load(Relaxed)))
        && unmap_or_wait(mapping) != 0
    {}
}

/// Unmaps; how many bytes. Where the kernel refuses (too many mappings, say) the mapping serves again, or waits for the next pass.
fn unmap_or_wait(mapping: &'static Mapping) -> usize {
    let (base, bytes) = (mapping.base.load(Relaxed), mapping.bytes.load(Relaxed));
    page_map::set(base, 1, 0);
    mapping.set_phase(Phase::Changing);
    // SAFETY: the mapping belongs to this descriptor, which this thread took for itself.
    if !unsafe { vm::unmap(base, bytes) } {
        page_map::set(base, 1, page_map::FREED);
        REFUSED.store(true, Relaxed);
        mapping.set_phase(Phase::Kept);
        if !put_in_slot(mapping) {
            KEPT_BYTES.fetch_add(bytes, Relaxed);
            mapping.set_phase(Phase::Stuck);
            STUCK.push(mapping);
        }
        return 0;
    }
    REFUSED.store(false, Relaxed);
    note_unmapped(bytes);
    forget(mapping);
    bytes
}

/// Unmaps kept mappings; how many bytes.
pub fn unmap(which: Purge) -> usize {
    let mut unmapped = 0;
    if !matches!(which, Purge::Bytes(_)) {
        let live = live();
        PEAK.store(if which == Purge::All { live } else { live.max(PEAK.load(Relaxed) / 2) }, Relaxed);
        unmapped += unmap_stuck();
    }
    for slot in &KEPT {
        // SAFETY: null or a descriptor.
        let Some(mapping) = (unsafe { slot.load(Acquire).as_ref() }) else { continue };
        let goes = match which {
            Purge::All => true,
            Purge::Aged => mapping.age.fetch_add(1, Relaxed) != 0,
            Purge::Bytes(most) => unmapped + mapping.bytes.load(Relaxed) <= most,
        };
        if goes && let Some(mapping) = take_out(slot, mapping) {
            unmapped += unmap_or_wait(mapping);
        }
    }
    unmapped
}

/// Tries again to unmap what the kernel refused to; how many bytes.
fn unmap_stuck() -> usize {
    let mut unmapped = 0;
    while let Some(mapping) = STUCK.pop() {
        mapping.set_phase(Phase::Kept);
        KEPT_BYTES.fetch_sub(mapping.bytes.load(Relaxed), Relaxed);
        match unmap_or_wait(mapping) {
            0 => break,
            bytes => unmapped += bytes,
        }
    }
    unmapped
}

/// Takes `bytes` of what may be resident, if need be in place of what is kept; false beyond the hard limit.
pub fn take_bytes(bytes: usize) -> bool {
    accounting::charge(bytes) || unmap_for(bytes) && accounting::charge(bytes)
}

/// Unmaps what is kept if that is likely to make room for `bytes`; whether there was something.
pub fn unmap_for(bytes: usize) -> bool {
    let kept = KEPT_BYTES.load(Relaxed);
    kept != 0 && accounting::could_have(bytes, kept) && unmap(Purge::All) != 0
}

/// Notes bytes mapped for large blocks, which were taken.
pub fn note_mapped(bytes: usize) {
    MAPPED_BYTES.fetch_add(bytes, Relaxed);
    accounting::add_mapped(bytes);
}

fn note_unmapped(bytes: usize) {
    MAPPED_BYTES.fetch_sub(bytes, Relaxed);
    accounting::sub_mapped(bytes);
    accounting::uncharge(bytes);
}

impl Mapping {
    fn phase(&self) -> Phase {
        match self.phase.load(Acquire) {
            0 => Phase::Spare,
            1 => Phase::Live,
            2 => Phase::Kept,
            3 => Phase::Stuck,
            _ => Phase::Changing,
        }
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, Release);
    }

    /// Notes that the program has it as a block.
    pub fn set_live(&self) {
        self.set_phase(Phase::Live);
    }

    /// Notes that the program has given the block up.
    pub fn set_free(&self) {
        self.set_phase(Phase::Kept);
    }

    /// Cuts the mapping off at `bytes`; false where the kernel refuses. By who has it, and uses nothing beyond.
    pub fn shrink(&self, bytes: usize) -> bool {
        let old = self.bytes.load(Relaxed);
        // SAFETY: the caller's.
        let shrunk = unsafe { vm::resize(self.base.load(Relaxed), old, bytes) };
        if shrunk {
            self.bytes.store(bytes, Relaxed);
            note_unmapped(old - bytes);
        }
        shrunk
    }

    /// Makes the mapping `bytes` long, in place where the kernel can, else by moving its pages to a multiple of `align`; false
    /// where it refuses. The page map's entry for where it was is gone when it moves, and the caller sets the new one. By who has
    /// it.
    pub fn grow(&self, bytes: usize, align: usize) -> bool {
        let (base, old) = (self.base.load(Relaxed), self.bytes.load(Relaxed));
        // A refusal after the move has been prepared would cost its target, so nothing that is likely to be refused is tried.
        if self.origin.load(Relaxed) == MIXED || !take_bytes(bytes - old) {
            return false;
        }
        let before = self.phase();
        self.set_phase(Phase::Changing);
        // SAFETY: the mapping is the caller's.
        let grown = unsafe { vm::resize(base, old, bytes) } || self.relocate(bytes, align);
        if grown {
            self.bytes.store(bytes, Relaxed);
            note_mapped(bytes - old);
        } else {
            accounting::uncharge(bytes - old);
        }
        self.set_phase(before);
        grown
    }

    fn relocate(&self, bytes: usize, align: usize) -> bool {
        let base = self.base.load(Relaxed);
        let to = vm::map_aligned(bytes, align.max(if self.huge.load(Relaxed) { SEGMENT } else { SLAB }));
        if to == 0 {
            return false;
        }
        if !page_map::cover(to, SLAB) {
            // SAFETY: mapped just now, known to nobody.
            unsafe { vm::unmap(to, bytes) };
            return false;
        }
        // Once the pages have moved, another thread may map something at the old place, so its entry goes first.
        let entry = page_map::entry(base);
        page_map::set(base, 1, 0);
        // SAFETY: the mapping is the caller's; the target was mapped just now.
        if !unsafe { vm::move_onto(base, self.bytes.load(Relaxed), bytes, to) } {
            // The target stays mapped, untouched: the kernel may have unmapped it already, and another thread be using the
            // place.
            page_map::set(base, 1, entry);
            self.torn.store(true, Relaxed);
            return false;
        }
        self.base.store(to, Relaxed);
        self.origin.store(new_origin(), Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: usize = 3 << 20;

    #[test]
    fn what_is_joined_serves_whole_and_is_resized_only_if_it_was_one() {
        mappings_of_two_calls_are_never_resized();
        parts_of_one_mapping_are_grown_together();
    }

    fn parts_of_one_mapping_are_grown_together() {
        let whole = describe().expect("memory");
        let base = vm::map_aligned(2 * PART, SLAB);
        assert!(base != 0 && page_map::cover(base, SLAB) && take_bytes(2 * PART));
        note_mapped(2 * PART);
        whole.base.store(base, Relaxed);
        whole.bytes.store(2 * PART, Relaxed);
        for at in [base, base + PART] {
            // SAFETY: mapped just now.
            unsafe { (at as *mut usize).write(at) };
        }
        put(whole);
        let first = take(PART, SLAB).expect("one half");
        let second = take(PART, SLAB).expect("the other half");
        assert_eq!((first.base.load(Relaxed), second.base.load(Relaxed)), (base, base + PART));
        put(second);
        put(first);
        let grown = take(4 * PART, SLAB).expect("both, grown");
        let now = grown.base.load(Relaxed);
        assert_eq!((grown.bytes.load(Relaxed), extent()), (4 * PART, Extent { mapped: 4 * PART, kept: 0 }));
        for part in [0, PART] {
            // SAFETY: mapped, and the kernel moved there what was touched.
            let word = unsafe { ((now + part) as *const usize).read() };
            assert_eq!(word, base + part);
        }
        put(grown);
        assert_ne!(unmap(Purge::All), 0);
        assert_eq!(extent(), Extent::default());
    }

    fn mappings_of_two_calls_are_never_resized() {
        let base = vm::map_aligned(2 * PART, SLAB);
        assert!(base != 0 && page_map::cover(base, 2 * PART));
        for at in [base + PART, base] {
            let part = describe().expect("memory");
            part.base.store(at, Relaxed);
            part.bytes.store(PART, Relaxed);
            assert!(take_bytes(PART));
            note_mapped(PART);
            put(part);
        }
        let whole = take(2 * PART, SLAB).expect("two neighbours");
        assert_eq!((whole.base.load(Relaxed), whole.bytes.load(Relaxed)), (base, 2 * PART));
        assert!(!whole.grow(4 * PART, SLAB), "its parts may be mappings apart");
        put(whole);
        let third = take(2 * PART / 3, SLAB).expect("a part of it");
        assert_eq!((third.base.load(Relaxed), third.bytes.load(Relaxed)), (base, 2 * PART / 3));
        assert_eq!(extent().kept, 2 * PART - 2 * PART / 3);
        assert!(!third.grow(PART, SLAB), "a part of what was joined");
        put(third);
        assert_ne!(unmap(Purge::All), 0);
        assert_eq!(extent(), Extent::default());
    }
}
