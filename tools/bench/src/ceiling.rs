//! The ceiling: an allocator that knows everything, to show what is possible in this harness.
//!
//! A handle carries the class of its block, so that giving it back looks nothing up. Blocks belong to no thread: each
//! thread keeps what it is given. Memory is never returned, nothing is counted and nothing is checked. No real
//! allocator can have all of this, and none of it is needed to run the same loops.
//!
//! # Safety
//! Blocks are cut from private mappings of the thread that uses them, and never overlap.

use crate::source::Source;
use std::{cell::UnsafeCell, ffi::c_int, num::NonZero, ptr, ptr::NonNull};

/// A handle has its block's class above the 48 bits that an address may have.
const CLASS_SHIFT: u32 = 48;

/// Sixteen bytes apart up to 1 KiB; above, four steps to each doubling.
const CLASSES: usize = 256;

/// Memory taken from the system at a time.
const REGION: usize = 1 << 30;

/// The allocator that knows everything.
pub struct Ceiling;

/// What one thread has: a list of free blocks for each class, and fresh memory.
struct Lists {
    free: [*mut u8; CLASSES],
    fresh: *mut u8,
    fresh_bytes: usize,
}

thread_local! {
    /// Without a destructor, so that an access is one instruction.
    static LISTS: UnsafeCell<Lists> =
        const { UnsafeCell::new(Lists { free: [ptr::null_mut(); CLASSES], fresh: ptr::null_mut(), fresh_bytes: 0 }) };
}

#[inline(always)]
fn class_of(size: usize) -> usize {
    if size <= 1024 {
        return size.div_ceil(16);
    }
    let last = size - 1;
    let doubling = last.ilog2() as usize;
    64 + (doubling - 10) * 4 + (last >> (doubling - 2) & 3) + 1
}

#[inline]
fn size_of_class(class: usize) -> usize {
    if class <= 64 {
        return class * 16;
    }
    let step = class - 65;
    (step % 4 + 5) << (step / 4 + 8)
}

#[inline(always)]
fn class_in(handle: NonNull<u8>) -> usize {
    handle.addr().get() >> CLASS_SHIFT
}

#[inline(always)]
fn with_lists<T>(action: impl FnOnce(&mut Lists) -> T) -> T {
    // SAFETY: no action here calls back into this function, so the reference is the only one.
    LISTS.with(|lists| action(unsafe { &mut *lists.get() }))
}

#[inline(always)]
fn handle(start: NonNull<u8>, class: usize) -> NonNull<u8> {
    start.map_addr(|address| address | class << CLASS_SHIFT)
}

/// Fresh memory for a block of `size` bytes.
#[cold]
#[inline(never)]
fn take_fresh(lists: &mut Lists, size: usize) -> NonNull<u8> {
    if lists.fresh_bytes < size {
        let bytes = size.max(REGION);
        const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh private mapping touches nothing that exists.
        let region = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, FLAGS, -1, 0) };
        assert!(region != libc::MAP_FAILED, "the system has no {bytes} bytes for the ceiling");
        (lists.fresh, lists.fresh_bytes) = (region.cast(), bytes);
    }
    let start = lists.fresh;
    lists.fresh_bytes -= size;
    // SAFETY: the region has at least `size` bytes from here on.
    lists.fresh = unsafe { start.add(size) };
    NonNull::new(start).expect("no mapping lies at address 0")
}

impl Source for Ceiling {
    #[inline(always)]
    fn allocate(size: usize) -> NonNull<u8> {
        let class = class_of(size);
        with_lists(|lists| {
            let Some(start) = NonNull::new(lists.free[class]) else {
                return handle(take_fresh(lists, size_of_class(class)), class);
            };
            // SAFETY: `release` stored the next free block's address in the first bytes of this one.
            lists.free[class] = unsafe { start.cast::<*mut u8>().read() };
            handle(start, class)
        })
    }

    #[inline(always)]
    fn allocate_zeroed(size: usize) -> NonNull<u8> {
        let handle = Self::allocate(size);
        // SAFETY: the block has at least `size` bytes.
        unsafe { Self::address(handle).write_bytes(0, size) };
        handle
    }

    #[inline(always)]
    unsafe fn reallocate(old: NonNull<u8>, size: usize) -> NonNull<u8> {
        let room = size_of_class(class_in(old));
        if class_of(size) == class_in(old) {
            return old;
        }
        let new = Self::allocate(size);
        // SAFETY: both blocks have that many bytes, and they are two; the caller gives the old one up.
        unsafe {
            Self::address(new).copy_from_nonoverlapping(Self::address(old), room.min(size));
            Self::release(old);
        }
        new
    }

    #[inline(always)]
    unsafe fn release(handle: NonNull<u8>) {
        let class = class_in(handle);
        let start = Self::address(handle);
        with_lists(|lists| {
            // SAFETY: a block has at least 16 bytes, and its user has given it up.
            unsafe { start.cast::<*mut u8>().write(lists.free[class]) };
            lists.free[class] = start.as_ptr();
        });
    }

    #[inline(always)]
    fn address(handle: NonNull<u8>) -> NonNull<u8> {
        handle.map_addr(|address| {
            NonZero::new(address.get() & ((1 << CLASS_SHIFT) - 1)).expect("no block lies at address 0")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_room_for_its_sizes_and_the_one_below_has_not() {
        for size in (1..70_000).chain((17..32).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1])) {
            let class = class_of(size);
            assert!(class < CLASSES && size_of_class(class) >= size, "{size} in class {class}");
            assert!(class <= 1 || size_of_class(class - 1) < size, "{size} would fit class {}", class - 1);
        }
    }

    #[test]
    fn a_block_given_back_is_the_next_of_its_class() {
        let first = Ceiling::allocate(100);
        let address = Ceiling::address(first);
        // SAFETY: the block is live and not used afterwards.
        unsafe { Ceiling::release(first) };
        assert_eq!(Ceiling::address(Ceiling::allocate(112)), address);
        assert_ne!(Ceiling::address(Ceiling::allocate(112)), address);
    }

    #[test]
    fn contents_survive_a_reallocation() {
        let handle = Ceiling::allocate(16);
        // SAFETY: both blocks are live while they are used, and have the sizes asked for.
        unsafe {
            Ceiling::address(handle).write_bytes(7, 16);
            let grown = Ceiling::reallocate(handle, 100_000);
            assert_eq!(Ceiling::address(grown).add(15).read(), 7);
        }
    }
}
