//! The registry: finds the descriptor of a segment by its number.
//!
//! # Safety
//! `map::metadata` makes chapters and descriptors, so they are never unmapped.

use super::descriptor::Segment;
use crate::backend::availability;
use crate::base::sync::Stack;
use crate::map::metadata;
use core::ptr;
use hakmem_os::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Pointers to descriptors with consecutive numbers: a page, made when it is first needed.
type Chapter = [AtomicPtr<Segment>; CHAPTER];
const CHAPTER: usize = 512;
/// Every descriptor, by its number. It is no array of all pointers, which would be most of the library's address space:
/// the kernel aligns a file that takes 2 MiB or more to huge pages, and all libraries loaded after it shift with it.
static REGISTRY: [AtomicPtr<Chapter>; availability::SEGMENTS / CHAPTER] =
    [const { AtomicPtr::new(ptr::null_mut()) }; availability::SEGMENTS / CHAPTER];
/// The highest number that a descriptor has.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Descriptors without a segment.
pub(super) static SPARE_SEGMENTS: Stack<Segment> = Stack::new();

/// Gives a new descriptor its number; false when all numbers are used, or the system has no memory.
pub(super) fn register(segment: &'static Segment) -> bool {
    let mut last = LAST.load(Acquire);
    loop {
        let index = last as usize + 1;
        let Some(chapter) = REGISTRY.get(index / CHAPTER).and_then(chapter_in) else { return false };
        match LAST.compare_exchange(last, last + 1, AcqRel, Acquire) {
            Ok(_) => {
                segment.index.store(last + 1, Relaxed);
                chapter[index % CHAPTER].store(ptr::from_ref(segment).cast_mut(), Release);
                return true;
            }
            Err(now) => last = now,
        }
    }
}

/// Returns the chapter at this place of the registry, and makes it if there is none.
fn chapter_in(place: &AtomicPtr<Chapter>) -> Option<&'static Chapter> {
    if place.load(Acquire).is_null() {
        // SAFETY: the chapter holds pointers, for which zero is valid.
        let made = ptr::from_ref(unsafe { metadata::make::<Chapter>() }?).cast_mut();
        // Where another thread was faster, its chapter is used, and this page is lost.
        let _ = place.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire);
    }
    // SAFETY: null or a chapter, which is never unmapped.
    unsafe { place.load(Acquire).as_ref() }
}

/// Returns the descriptor with this number, if there is one.
pub fn number(index: usize) -> Option<&'static Segment> {
    // SAFETY: null, or a chapter or a descriptor, which are never unmapped.
    unsafe { REGISTRY.get(index / CHAPTER)?.load(Acquire).as_ref()?[index % CHAPTER].load(Acquire).as_ref() }
}

/// Returns the highest number that a descriptor has.
pub fn last_number() -> usize {
    LAST.load(Acquire) as usize
}

/// Returns all descriptors, in order of their numbers. Those without a segment have no free slabs.
pub fn all() -> impl DoubleEndedIterator<Item = &'static Segment> {
    (1..=last_number()).filter_map(number)
}

/// Returns the descriptors that have a segment.
pub fn mapped() -> impl Iterator<Item = &'static Segment> {
    all().filter(|segment| segment.is_mapped())
}
