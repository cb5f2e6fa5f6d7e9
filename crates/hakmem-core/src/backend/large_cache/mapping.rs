//! The descriptor of a mapping: where it lies, and what it is at the moment.
//!
//! Descriptors come from `map::metadata`, so they are never unmapped. All of them stand on one list, for a child process to walk.
//!
//! # Safety
//! A descriptor belongs to the thread that took it out of a slot or off a stack, or to the holder of the block.

use crate::base::sync::{Linked, Stack};
use crate::map::metadata;
use core::ptr;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Descriptor of a large block or of a cached mapping.
#[repr(C, align(64))]
pub struct Mapping {
    /// Address of its first byte.
    pub base: AtomicUsize,
    /// Its length in bytes.
    pub bytes: AtomicUsize,
    /// Whether the kernel was asked for huge pages here.
    pub huge: AtomicBool,
    /// The number of the `mmap` call that made it; its parts inherit the number. [`MIXED`] after mappings of several calls were joined:
    /// the kernel may treat these as separate mappings, and then resizes none of them.
    pub(super) origin: AtomicUsize,
    /// Whether the kernel refused to move it. The program may have changed the protection of a part of it, so it is not cached again.
    pub(super) immovable: AtomicBool,
    /// Number of decay passes during which it was cached.
    pub(super) age: AtomicUsize,
    phase: AtomicU32,
    link: AtomicPtr<Mapping>,
    /// The descriptor made before this one.
    older: AtomicPtr<Mapping>,
}

/// What a descriptor describes at the moment.
///
/// ```text
///   Spare --map--> Live --free--> Cached --take--> Live
///                   |               |
///                   +--- kernel ----+---> Changing --unmapped--> Spare
///                                            |
///                                            +--refused--> Cached, or Refused where no slot is free
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Phase {
    /// Nothing, or a mapping that is being made.
    Spare = 0,
    /// A block that the program has.
    Live = 1,
    /// A whole mapping that stands in a slot, or that a thread has taken out of one.
    Cached = 2,
    /// A mapping that the kernel refused to unmap and that has no slot.
    Refused = 3,
    /// A mapping that the kernel is resizing, moving or unmapping.
    Changing = 4,
}

// SAFETY: `link` returns one field; `metadata` makes descriptors, so they are never unmapped; they are aligned to 64.
unsafe impl Linked for Mapping {
    fn link(&self) -> &AtomicPtr<Mapping> {
        &self.link
    }
}

/// The origin of a mapping that was joined from mappings of several calls.
pub(super) const MIXED: usize = 0;
/// The latest origin.
static LAST_ORIGIN: AtomicUsize = AtomicUsize::new(MIXED);

/// Descriptors without a mapping.
pub(super) static SPARE_MAPPINGS: Stack<Mapping> = Stack::new();
/// The descriptor that was made last.
static NEWEST_MAPPING: AtomicPtr<Mapping> = AtomicPtr::new(ptr::null_mut());

pub(super) fn new_origin() -> usize {
    LAST_ORIGIN.fetch_add(1, Relaxed) + 1
}

/// Returns a descriptor without a mapping; `None` when the system has no memory.
pub fn new_descriptor() -> Option<&'static Mapping> {
    // SAFETY: the fields are atomics, for which zero is valid.
    let mapping =
        SPARE_MAPPINGS.pop().or_else(|| unsafe { metadata::make::<Mapping>() }.inspect(|made| add_to_all(made)))?;
    mapping.origin.store(new_origin(), Relaxed);
    mapping.immovable.store(false, Relaxed);
    Some(mapping)
}

/// Returns a descriptor that describes no mapping any more.
pub fn free_descriptor(mapping: &'static Mapping) {
    mapping.set_phase(Phase::Spare);
    SPARE_MAPPINGS.push(mapping);
}

/// Adds a new descriptor to the list of all.
fn add_to_all(mapping: &'static Mapping) {
    let mut newest = NEWEST_MAPPING.load(Acquire);
    loop {
        mapping.older.store(newest, Relaxed);
        match NEWEST_MAPPING.compare_exchange(newest, ptr::from_ref(mapping).cast_mut(), AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => newest = now,
        }
    }
}

/// Returns every descriptor that was ever made, the latest first.
pub(super) fn all() -> impl Iterator<Item = &'static Mapping> {
    let mut at = NEWEST_MAPPING.load(Acquire);
    core::iter::from_fn(move || {
        // SAFETY: null or a descriptor, which is never unmapped.
        let mapping = unsafe { at.as_ref() }?;
        at = mapping.older.load(Relaxed);
        Some(mapping)
    })
}

impl Mapping {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Acquire) {
            0 => Phase::Spare,
            1 => Phase::Live,
            2 => Phase::Cached,
            3 => Phase::Refused,
            _ => Phase::Changing,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, Release);
    }

    /// Notes that the program has the mapping as a block.
    pub fn set_live(&self) {
        self.set_phase(Phase::Live);
    }

    /// Notes that the program has freed the block.
    pub fn set_free(&self) {
        self.set_phase(Phase::Cached);
    }
}
