//! What the kernel of a model knows about its threads: whether each waits for work, and how often it began to wait.
//!
//! The real kernel reads a thread's state, wakes it and puts it to sleep under one lock. So the reader sees all that
//! the thread did before it went to sleep, and a thread that wakes after the reading sees all that the reader did
//! before it. Here each of the three is one read-modify-write operation on the thread's record.
//!
//! # Safety
//! As for the real one.

use super::words::AtomicUsize;
use super::{slot, world, yield_now};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The bit of a record that is set while its thread waits. The bits above count how often it began to wait.
const WAITS: usize = 1;

/// Returns the calling thread's number.
pub fn id() -> u32 {
    slot::current().number
}

fn look_at(id: u32) -> Option<usize> {
    let thread = world(|world| world.thread_states.get((id as usize).wrapping_sub(1)).copied())?;
    Some(thread.record.fetch_add(0, AcqRel))
}

/// Returns how often thread `id` began to wait, if it waits now.
pub fn blocked(id: u32, _slot: usize, _memory: &Memory) -> Option<u64> {
    waits(id)
}

fn waits(id: u32) -> Option<u64> {
    look_at(id).filter(|record| record & WAITS != 0).map(|record| (record / (WAITS + 1)) as u64)
}

/// Whether thread `id` has not run since [`blocked`] returned `times`.
pub fn still_blocked(id: u32, times: u64) -> bool {
    waits(id) == Some(times)
}

/// Waits for work in the kernel, for any length of time.
pub fn wait_for_work() {
    let record = slot::current().record;
    record.fetch_add(WAITS + 1 | WAITS, AcqRel);
    yield_now();
    record.fetch_sub(WAITS, AcqRel);
}

/// Access to the memory of this process through the kernel.
pub struct Memory(());

/// The result of an attempt to clear two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// The words are zero.
    Yes,
    /// The third word is not the one expected, or nothing is mapped there.
    Changed,
}

impl Memory {
    /// Always succeeds.
    pub fn open() -> Option<Memory> {
        Some(Memory(()))
    }

    /// Returns the word at `address`, one of a slot. A reader that finds another value than the thread left there also
    /// sees all that the thread did: the kernel has released the memory.
    pub fn word(&self, address: usize) -> Option<usize> {
        // SAFETY: one of the words of a slot, which are never freed.
        Some(unsafe { &*(address as *const AtomicUsize) }.load(Acquire))
    }

    /// Clears the two words at `address` if the third one is `expected`.
    ///
    /// # Safety
    /// As for the real kernel.
    pub unsafe fn clear(&self, address: usize, expected: usize) -> Cleared {
        if self.word(address + slot::STATE) != Some(expected) {
            return Cleared::Changed;
        }
        slot::at(address)[..2].iter().for_each(|word| word.store(0, Relaxed));
        Cleared::Yes
    }
}

/// Clears the slot of this thread, as the kernel does when a thread ends without a call at its exit.
pub fn vanish() {
    slot::current().words[2].store(0, Release);
}
