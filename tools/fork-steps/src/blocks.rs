//! The blocks that the stepped thread or the busy ones have, in a table that forked children read: what stands there is live at
//! every moment.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

use hakmem_core::heap;
use std::mem::size_of_val;
use std::ops::Range;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicUsize, Ordering};

const MOST: usize = 8192;

/// A place in the table.
#[derive(Clone, Copy)]
pub struct Held(usize);

struct Table {
    next: AtomicUsize,
    sizes: [AtomicUsize; MOST],
    /// 0 where there is no block.
    addresses: [AtomicUsize; MOST],
}

static TABLE: Table = Table {
    next: AtomicUsize::new(0),
    sizes: [const { AtomicUsize::new(0) }; MOST],
    addresses: [const { AtomicUsize::new(0) }; MOST],
};

/// Where the table is.
pub fn table() -> Range<u64> {
    let start = &raw const TABLE as u64;
    start..start + size_of_val(&TABLE) as u64
}

/// The word that a block is filled with.
fn mark(address: usize) -> usize {
    address ^ 0xA5A5_5A5A_0F0F_F0F0
}

/// The places that are written: the first two words, where the allocator's links would be, some in between, and the last.
fn filled(size: usize) -> impl Iterator<Item = usize> {
    let (second, last) = (size_of::<usize>(), size - size_of::<usize>());
    let apart = 2048.max(size / 16).next_multiple_of(second);
    [0, second.min(last)].into_iter().chain((apart..last).step_by(apart)).chain([last])
}

fn rounded(size: usize) -> usize {
    size.max(size_of::<usize>()) & !(size_of::<usize>() - 1)
}

/// Marks a block of `size` bytes as used.
pub fn fill(address: usize, size: usize) {
    for place in filled(rounded(size)) {
        // SAFETY: a live block of the caller's, at least that long.
        unsafe { ((address + place) as *mut usize).write_volatile(mark(address)) };
    }
}

/// Whether a block that was filled is as it was.
pub fn is_as_filled(address: usize, size: usize) -> bool {
    filled(rounded(size)).all(|place| {
        // SAFETY: a live block of the caller's, at least that long.
        unsafe { ((address + place) as *const usize).read_volatile() == mark(address) }
    })
}

fn note(address: usize, size: usize, place: Held) {
    fill(address, size);
    TABLE.sizes[place.0].store(size, Relaxed);
    TABLE.addresses[place.0].store(address, Release);
}

/// Allocates a block and notes it.
pub fn hold(size: usize) -> Held {
    let place = Held(TABLE.next.fetch_add(1, Ordering::Relaxed));
    hold_at(place, size);
    place
}

/// Allocates a block and notes it at a place where there is none.
pub fn hold_at(place: Held, size: usize) {
    let address = heap::allocate(size) as usize;
    assert_ne!(address, 0, "memory");
    note(address, size, place);
}

/// The first places of the table, as many as there are in `N`. Nobody else has used it yet.
pub fn places<const N: usize>() -> [Held; N] {
    const { assert!(N <= MOST) };
    TABLE.next.store(N, Relaxed);
    std::array::from_fn(Held)
}

/// Whether there is a block at a place.
pub fn is_held(place: Held) -> bool {
    TABLE.addresses[place.0].load(Relaxed) != 0
}

fn take(place: Held) -> usize {
    TABLE.addresses[place.0].swap(0, Ordering::AcqRel)
}

/// Frees a block.
pub fn drop_one(place: Held) {
    // SAFETY: a live block, which the table forgot just now.
    unsafe { heap::free(take(place) as *mut u8) };
}

/// Changes the size of a block.
pub fn resize(place: Held, size: usize) {
    // SAFETY: a live block, which the table forgot just now.
    let address = unsafe { heap::reallocate(take(place) as *mut u8, size, 1) } as usize;
    assert_ne!(address, 0, "memory");
    note(address, size, place);
}

/// All that is live: where, how long.
pub fn live() -> impl Iterator<Item = (usize, usize)> {
    let count = TABLE.next.load(Relaxed).min(MOST);
    let all = (0..count).map(|at| (TABLE.addresses[at].load(Ordering::Acquire), TABLE.sizes[at].load(Relaxed)));
    all.filter(|(address, _)| *address != 0)
}

/// Takes every other live block out of the table, one after the other: the caller frees them.
pub fn take_every_other() -> impl Iterator<Item = (usize, usize)> {
    let count = TABLE.next.load(Relaxed).min(MOST);
    (0..count).step_by(2).map(|at| (take(Held(at)), TABLE.sizes[at].load(Relaxed))).filter(|(address, _)| *address != 0)
}
