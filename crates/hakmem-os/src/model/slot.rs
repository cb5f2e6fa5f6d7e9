//! The thread-local slot of a model: three words of the model for each of its threads, with the interface of `arch`.
//!
//! # Safety
//! As for the real slot.

use super::words::{AtomicU32, AtomicUsize};
use super::world;
use core::sync::atomic::Ordering::Relaxed;
use std::boxed::Box;

/// The offset of the third word, in bytes.
pub const STATE: usize = 16;

fn words(address: usize) -> &'static [AtomicUsize; 3] {
    // SAFETY: leaked by `address`.
    unsafe { &*(address as *const [AtomicUsize; 3]) }
}

fn word(place: usize) -> &'static AtomicUsize {
    &words(address())[place]
}

/// The address of this thread's first word.
pub fn address() -> usize {
    let id = loom::thread::current().id();
    world(|world| {
        let made = || Box::leak(Box::new([const { AtomicUsize::new(0) }; 3])).as_ptr() as usize;
        *world.slots.entry(id).or_insert_with(made)
    })
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

/// Zeroes the first two words of another thread's slot.
///
/// # Safety
/// As for the real one.
pub unsafe fn clear(address: usize) {
    words(address)[..2].iter().for_each(|word| word.store(0, Relaxed));
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
