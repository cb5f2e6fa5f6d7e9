//! The thread-local slot of a model: four words for each of its threads, with the interface of `arch`.
//!
//! # Safety
//! As for the real slot.

use super::words::{AtomicU32, AtomicUsize};
use super::world;
use core::sync::atomic::Ordering::Relaxed;
use std::boxed::Box;

/// The offset of the third word, in bytes.
pub const STATE: usize = 16;

/// What a model holds for one thread.
#[derive(Clone, Copy)]
pub(super) struct ThreadState {
    pub(super) words: &'static [AtomicUsize; 4],
    /// Whether the thread waits for work: see `task`.
    pub(super) record: &'static AtomicUsize,
    pub(super) number: u32,
}

impl ThreadState {
    /// Makes the state of the thread with this number.
    pub(super) fn new(number: u32) -> ThreadState {
        let [words @ .., record] = Box::leak(Box::new([const { AtomicUsize::new(0) }; 5]));
        // Another thread may know this thread's number before it is synchronised with it otherwise, so its accesses
        // must not be the first to these words.
        words.iter().chain([&*record]).for_each(|word| word.store(0, Relaxed));
        ThreadState { words, record, number }
    }

    /// Returns the next unused state, for a thread that is about to begin.
    pub(super) fn next() -> ThreadState {
        world(|world| {
            world.began += 1;
            world.thread_states[world.began - 1]
        })
    }

    /// Assigns this state to the calling thread.
    pub(super) fn assign(self) {
        let id = loom::thread::current().id();
        world(|world| world.threads.insert(id, self));
    }
}

/// Returns the state of the calling thread.
pub(super) fn current() -> ThreadState {
    let id = loom::thread::current().id();
    world(|world| world.threads.get(&id).copied()).expect("assigned when the thread began")
}

/// Returns the words at `address`.
pub(super) fn at(address: usize) -> &'static [AtomicUsize; 4] {
    // SAFETY: `ThreadState::new` leaked these words.
    unsafe { &*(address as *const [AtomicUsize; 4]) }
}

fn word(place: usize) -> &'static AtomicUsize {
    &current().words[place]
}

/// Returns the address of this thread's first word.
pub fn address() -> usize {
    current().words.as_ptr() as usize
}

/// Returns `base` plus the first word.
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

/// Subtracts one from a word of 32 bits, and returns whether it became zero.
///
/// # Safety
/// As for the real slot.
pub unsafe fn count_down<const OFFSET: usize>(base: usize, distance: usize) -> bool {
    // SAFETY: the caller guarantees that the word is there.
    let word = unsafe { &*(base.wrapping_add(distance).wrapping_add(OFFSET) as *const AtomicU32) };
    let left = word.load(Relaxed).wrapping_sub(1);
    word.store(left, Relaxed);
    left == 0
}
