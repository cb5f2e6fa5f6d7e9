//! Threads for whose heap there is no memory: what they free is freed and counted.
//!
//! # Safety
//! A block is freed once, by the thread that got it.

mod clock;
mod common;
mod barrier;

use barrier::Barrier;
use hakmem_core::base::accounting;
use hakmem_core::debug;
use hakmem_core::reclaim::limits;
use hakmem_core::{heap, stats};
use hakmem_os::kernel::replace;
use std::thread;

/// More threads than heaps fit into the memory for descriptors that is mapped already.
const THREADS: usize = 40;

#[test]
fn blocks_freed_by_threads_without_a_heap_are_counted() {
    // This clock stands still, so nothing goes back by itself, which would make room.
    replace(Some(&clock::KERNEL));
    let sizes = [100, 30_000, 300_000, 3_000_000];
    let blocks: Vec<usize> =
        (0..THREADS * sizes.len()).map(|n| heap::allocate(sizes[n % sizes.len()]) as usize).collect();
    assert!(blocks.iter().all(|block| *block != 0));
    let (heaps, all_done) = (stats::totals().heaps, Barrier::of(THREADS));
    // From here on there is no more memory, and none for a heap.
    assert!(limits::set(0, accounting::used()));
    let free = |blocks: &[usize]| {
        for block in blocks {
            // SAFETY: a live block that this thread got.
            unsafe { heap::free(*block as *mut u8) };
        }
        // Otherwise the next thread would get the heap that this one leaves.
        all_done.wait();
    };
    thread::scope(|scope| {
        let free = &free;
        let threads: Vec<_> = blocks.chunks(sizes.len()).map(|blocks| scope.spawn(move || free(blocks))).collect();
        // Joined one by one: only a join waits for a thread's last destructors, and so until its heap is in the pool.
        threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    });
    assert!(stats::totals().heaps - heaps < THREADS as u64, "every thread had a heap");
    assert!(limits::set(0, 0));
    if let Err(fault) = debug::validate() {
        panic!("{fault:?}");
    }
    let totals = stats::totals();
    assert_eq!((totals.allocations, totals.live_bytes), (totals.frees, 0), "{totals:?}");
    common::check_counters();
}
