//! What the kernel of a model knows about its threads: whether each waits for work, and how often it began to.
//!
//! The real kernel looks at a thread, lets it run and lets it sleep under one lock. So a look finds all that was done before the
//! thread went to sleep, and who wakes after a look finds all that was done before that. Here each of these is one exchange of
//! the thread's record.
//!
//! # Safety
//! As for the real one.

use super::words::AtomicUsize;
use super::{slot, world, yield_now};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Set in a record while its thread waits; above it is counted how often it began to.
const WAITS: usize = 1;

/// The calling thread's number.
pub fn id() -> u32 {
    slot::mine().number
}

fn look_at(id: u32) -> Option<usize> {
    let thread = world(|world| world.belongings.get((id as usize).wrapping_sub(1)).copied())?;
    Some(thread.record.fetch_add(0, AcqRel))
}

/// How often thread `id` began to wait, if it does so now.
pub fn blocked(id: u32, _slot: usize, _memory: &Memory) -> Option<u64> {
    waits(id)
}

fn waits(id: u32) -> Option<u64> {
    look_at(id).filter(|record| record & WAITS != 0).map(|record| (record / (WAITS + 1)) as u64)
}

/// Whether thread `id` did nothing since [`blocked`] returned `times`.
pub fn still_blocked(id: u32, times: u64) -> bool {
    waits(id) == Some(times)
}

/// Waits for work in the kernel, for a moment that may be as short or as long as any.
pub fn wait_for_work() {
    let record = slot::mine().record;
    record.fetch_add(WAITS + 1 | WAITS, AcqRel);
    yield_now();
    record.fetch_sub(WAITS, AcqRel);
}

/// The memory of this process by way of the kernel.
pub struct Memory(());

/// What became of an attempt to clear two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// They are zero.
    Yes,
    /// The third word is not the one expected, or nothing is mapped there.
    Changed,
}

impl Memory {
    /// It is always there.
    pub fn open() -> Option<Memory> {
        Some(Memory(()))
    }

    /// The word at `address`, one of a slot. Who finds another one than the thread left there finds all that the thread did: it is the
    /// kernel that let go of the memory.
    pub fn word(&self, address: usize) -> Option<usize> {
        // SAFETY: one of three words that are never freed.
        Some(unsafe { &*(address as *const AtomicUsize) }.load(Acquire))
    }

    /// Zeroes the two words at `address` if the third one is `expected`.
    ///
    /// # Safety
    /// As for the real one.
    pub unsafe fn clear(&self, address: usize, expected: usize) -> Cleared {
        if self.word(address + slot::STATE) != Some(expected) {
            return Cleared::Changed;
        }
        slot::at(address)[..2].iter().for_each(|word| word.store(0, Relaxed));
        Cleared::Yes
    }
}

/// Takes the slot of this thread away, as the kernel does where a thread ends without a call at its exit.
pub fn vanish() {
    slot::mine().words[2].store(0, Release);
}
