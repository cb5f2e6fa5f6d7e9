//! The registry: every descriptor of a segment by its number.
//!
//! # Safety
//! Chapters and descriptors come from `meta`, so they live for ever.

use super::descriptor::Segment;
use crate::backend::availability;
use crate::base::sync::Stack;
use crate::map::metadata;
use core::ptr;
use hakmem_os::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Descriptors with consecutive numbers: a page of pointers, made when the first of them is.
type Chapter = [AtomicPtr<Segment>; CHAPTER];
const CHAPTER: usize = 512;
/// Every descriptor, by its number. Not in one array, which would be most of the library's address space: the kernel aligns
/// a file that takes 2 MiB or more to huge pages, and all libraries loaded after it shift with it.
static REGISTRY: [AtomicPtr<Chapter>; availability::SEGMENTS / CHAPTER] =
    [const { AtomicPtr::new(ptr::null_mut()) }; availability::SEGMENTS / CHAPTER];
/// The highest number given to a descriptor.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Descriptors without a segment.
pub(super) static SPARE: Stack<Segment> = Stack::new();

/// Gives a new descriptor its number; false when there are too many, or the system has no memory.
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

/// The chapter at this place of the registry, made if it is not there.
fn chapter_in(place: &AtomicPtr<Chapter>) -> Option<&'static Chapter> {
    if place.load(Acquire).is_null() {
        // SAFETY: null pointers: zero is valid.
        let made = ptr::from_ref(unsafe { metadata::make::<Chapter>() }?).cast_mut();
        // Who was faster has made the one that counts; a page is lost.
        let _ = place.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire);
    }
    // SAFETY: null or a chapter, which lives for ever.
    unsafe { place.load(Acquire).as_ref() }
}

/// The descriptor with this number, if it has been given.
pub fn number(index: usize) -> Option<&'static Segment> {
    // SAFETY: null, or a chapter or descriptor, which live for ever.
    unsafe { REGISTRY.get(index / CHAPTER)?.load(Acquire).as_ref()?[index % CHAPTER].load(Acquire).as_ref() }
}

/// The highest number given.
pub fn last_number() -> usize {
    LAST.load(Acquire) as usize
}

/// All descriptors, in order; those without a segment have nothing free.
pub fn all() -> impl DoubleEndedIterator<Item = &'static Segment> {
    (1..=last_number()).filter_map(number)
}

/// The descriptors that have a segment.
pub fn mapped() -> impl Iterator<Item = &'static Segment> {
    all().filter(|segment| segment.is_mapped())
}
