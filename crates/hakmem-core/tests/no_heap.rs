//! Threads for which there is no memory for a heap: what they free is freed, and counted.
//!
//! # Safety
//! Blocks are freed once, by the thread that they were handed to.

mod clock;
mod common;
mod meeting;

use hakmem_core::base::accounting;
use hakmem_core::debug;
use hakmem_core::reclaim::limits;
use hakmem_core::{heap, stats};
use hakmem_os::kernel::replace;
use meeting::Meeting;
use std::thread;

/// More than there is room for in the memory for descriptors that is mapped already.
const THREADS: usize = 40;

#[test]
fn blocks_freed_by_threads_without_a_heap_are_counted() {
    // In the time of this clock nothing goes back by itself, which would make room.
    replace(Some(&clock::KERNEL));
    let sizes = [100, 30_000, 300_000, 3_000_000];
    let blocks: Vec<usize> =
        (0..THREADS * sizes.len()).map(|n| heap::allocate(sizes[n % sizes.len()]) as usize).collect();
    assert!(blocks.iter().all(|block| *block != 0));
    let (heaps, all_done) = (stats::totals().heaps, Meeting::of(THREADS));
    // Nothing more is to be had, and no heap either.
    assert!(limits::set(0, accounting::used()));
    let free = |blocks: &[usize]| {
        for block in blocks {
            // SAFETY: a live block, this thread's.
            unsafe { heap::free(*block as *mut u8) };
        }
        // A heap that a thread left would be there for the next one.
        all_done.wait();
    };
    thread::scope(|scope| {
        let free = &free;
        let threads: Vec<_> = blocks.chunks(sizes.len()).map(|blocks| scope.spawn(move || free(blocks))).collect();
        // Joined one by one: only that waits for a thread's last destructors, and so for its heap to be given back.
        threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    });
    assert!(stats::totals().heaps - heaps < THREADS as u64, "every thread had a heap");
    assert!(limits::set(0, 0));
    if let Err(fault) = debug::validate() {
        panic!("{fault:?}");
    }
    let totals = stats::totals();
    assert_eq!((totals.allocations, totals.live_bytes), (totals.frees, 0), "{totals:?}");
    common::check_books();
}
