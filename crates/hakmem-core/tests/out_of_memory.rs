//! The kernel refuses its n-th call and the eight after it, for every n: the allocator answers null or does without, and nothing is lost.
//!
//! One test in a process of its own, since the kernel that is faked is the process's.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod common;

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::debug;
use hakmem_core::heap;
use hakmem_core::policy::{self, Snapshot};
use hakmem_os::kernel::{Kernel, real, replace};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

/// Calls left until those that fail; far more than there are means never.
static LEFT: AtomicIsize = AtomicIsize::new(NEVER);
const NEVER: isize = isize::MAX;
static TIME: AtomicUsize = AtomicUsize::new(0);

fn fails() -> bool {
    // Nine in a row, since most calls have a second way, and every allocation is tried again after giving back what is free.
    (-8..=0).contains(&LEFT.fetch_sub(1, Relaxed))
}

static FAKE: Kernel = Kernel {
    map: |hint, len, lazy| if fails() { 0 } else { (real().map)(hint, len, lazy) },
    // SAFETY: passed on with the caller's obligations.
    unmap: |at, len| !fails() && unsafe { (real().unmap)(at, len) },
    // SAFETY: as above.
    purge: |at, len| !fails() && unsafe { (real().purge)(at, len) },
    // SAFETY: as above.
    remap: |at, old, new, to| !fails() && unsafe { (real().remap)(at, old, new, to) },
    // SAFETY: as above.
    advise: |at, len, advice| !fails() && unsafe { (real().advise)(at, len, advice) },
    // A clock that makes every look at it a purge pass.
    now: || TIME.fetch_add(1000, Relaxed) as u64,
    micros: || (real().micros)(),
};

/// Huge pages from a size that the workload reaches.
static POLICY: Snapshot = Snapshot { huge_from: 4 << 20, ..Snapshot::DEFAULT };

fn fill(block: *mut u8, size: usize) {
    if !block.is_null() {
        // SAFETY: the block is that long.
        unsafe { block.write_bytes(size as u8, size) };
    }
}

/// A workload that needs every kind of kernel call; returns how many allocations came back null.
fn workload() -> usize {
    let mut refused = 0;
    let mut blocks = Vec::new();
    let sizes = (0..60).map(|n| [24, 700, 5000, 30_000, 70_000, 900_000, 1_100_000, 1_500_000][n % 8] + n);
    for size in sizes {
        // Some of each kind aligned as no block of the kind is by itself.
        let align = if size % 3 == 0 { (2 * size).next_power_of_two() } else { 1 };
        let block = heap::allocate_aligned(size, align);
        refused += usize::from(block.is_null());
        fill(block, size);
        blocks.push((block, size, align));
        if blocks.len() > 24 {
            let (block, size, align) = blocks.swap_remove(size % 24);
            if block.is_null() {
                continue;
            }
            // SAFETY: a live block, forgotten unless null comes back.
            let new = unsafe { heap::reallocate(block, size * 3, align) };
            let (block, len) = if new.is_null() { (block, size) } else { (new, size) };
            refused += usize::from(new.is_null());
            assert_eq!(block as usize & (align - 1), 0, "{size} bytes at a multiple of {align}");
            // SAFETY: the block is at least that long, and was written.
            let bytes = unsafe { std::slice::from_raw_parts(block, len) };
            assert!(bytes.iter().all(|byte| *byte == size as u8), "contents survive a failed or a successful realloc");
            // SAFETY: a live block.
            unsafe { heap::free(block) };
        }
    }
    for (block, ..) in blocks {
        // SAFETY: null or a live block.
        unsafe { heap::free(block) };
    }
    heap::collect();
    slabs::purge(Purge::All);
    large_cache::unmap(Purge::All);
    refused
}

#[test]
fn whichever_call_of_the_kernel_fails_nothing_is_lost() {
    policy::publish(&POLICY);
    replace(Some(&FAKE));
    workload();
    let counted = NEVER - LEFT.load(Relaxed);
    assert!(counted > 50, "the workload makes {counted} kernel calls");
    let mut refused = 0;
    for nth in 0..counted {
        LEFT.store(nth, Relaxed);
        refused += workload();
        LEFT.store(NEVER, Relaxed);
        if let Err(fault) = debug::validate() {
            panic!("call {nth} failed: {fault:?}");
        }
        // What a refused call left behind goes back with the next attempt.
        heap::collect();
        slabs::purge(Purge::All);
        large_cache::unmap(Purge::All);
        common::check_books();
        assert_eq!(slabs::extent().segments, 0, "call {nth} failed");
        assert_eq!(large_cache::extent().mapped, 0, "call {nth} failed");
    }
    assert!(refused > 0, "some of the refusals reached the program as null");
}
