//! The thread-local slot of a model: four words of the model for each of its threads, with the interface of `arch`.
//!
//! # Safety
//! As for the real slot.

use super::words::{AtomicU32, AtomicUsize};
use super::world;
use core::sync::atomic::Ordering::Relaxed;
use std::boxed::Box;

/// The offset of the third word, in bytes.
pub const STATE: usize = 16;

/// What belongs to a thread.
#[derive(Clone, Copy)]
pub(super) struct Belongings {
    pub(super) words: &'static [AtomicUsize; 4],
    /// See `task`.
    pub(super) record: &'static AtomicUsize,
    pub(super) number: u32,
}

impl Belongings {
    /// Those of a thread with this number.
    pub(super) fn new(number: u32) -> Belongings {
        let [words @ .., record] = Box::leak(Box::new([const { AtomicUsize::new(0) }; 5]));
        // Who looks at a thread may know its number before it knows anything else of it: it must not be the first to use these.
        words.iter().chain([&*record]).for_each(|word| word.store(0, Relaxed));
        Belongings { words, record, number }
    }

    /// The first that no thread has; for one that is to begin.
    pub(super) fn next() -> Belongings {
        world(|world| {
            world.began += 1;
            world.belongings[world.began - 1]
        })
    }

    /// Gives them to the calling thread.
    pub(super) fn give(self) {
        let id = loom::thread::current().id();
        world(|world| world.threads.insert(id, self));
    }
}

/// What belongs to the calling thread.
pub(super) fn mine() -> Belongings {
    let id = loom::thread::current().id();
    world(|world| world.threads.get(&id).copied()).expect("given when it began")
}

/// The words at `address`.
pub(super) fn at(address: usize) -> &'static [AtomicUsize; 4] {
    // SAFETY: leaked by `Belongings::new`.
    unsafe { &*(address as *const [AtomicUsize; 4]) }
}

fn word(place: usize) -> &'static AtomicUsize {
    &mine().words[place]
}

/// The address of this thread's first word.
pub fn address() -> usize {
    mine().words.as_ptr() as usize
}

/// `base` plus the first word.
pub fn add_distance(base: usize) -> usize {
    base.wrapping_add(distance())
}

/// Reads the first word.
pub fn distance() -> usize {
    word(0).load(Relaxed)
}

/// Writes the first word.
pub fn set_distance(value: usize) {
    word(0).store(value, Relaxed);
}

/// Reads the second word.
pub fn heap() -> usize {
    word(1).load(Relaxed)
}

/// Writes the second word.
pub fn set_heap(value: usize) {
    word(1).store(value, Relaxed);
}

/// Reads the third word.
pub fn state() -> usize {
    word(2).load(Relaxed)
}

/// Writes the third word.
pub fn set_state(value: usize) {
    word(2).store(value, Relaxed);
}

/// Reads the fourth word.
pub fn work() -> usize {
    word(3).load(Relaxed)
}

/// Writes the fourth word.
pub fn set_work(value: usize) {
    word(3).store(value, Relaxed);
}

/// Subtracts one from a word of 32 bits, and says whether it became zero.
///
/// # Safety
/// As for the real slot.
pub unsafe fn count_down<const OFFSET: usize>(base: usize, distance: usize) -> bool {
    // SAFETY: the caller vouches for the word.
    let word = unsafe { &*(base.wrapping_add(distance).wrapping_add(OFFSET) as *const AtomicU32) };
    let left = word.load(Relaxed).wrapping_sub(1);
    word.store(left, Relaxed);
    left == 0
}
