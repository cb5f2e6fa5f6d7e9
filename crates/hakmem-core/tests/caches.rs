//! What threads cache once they have freed everything: no more than the bound for all of them together, and what each
//! uses in every turn.
//!
//! One test in a process of its own, since the bound is for the whole process.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod common;
mod barrier;

use barrier::Barrier;
use hakmem_core::backend::slabs;
use hakmem_core::base::sizes::CLASSES;
use hakmem_core::debug;
use hakmem_core::policy::{self, Snapshot};
use hakmem_core::{heap, stats};

const THREADS: usize = 200;
const BLOCKS: usize = 200;
const TURNS: usize = 20;

/// Allocates blocks of 16 to 8,000 bytes and frees them.
fn churn(seed: &mut u64) {
    let blocks: Vec<*mut u8> = (0..BLOCKS)
        .map(|_| {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            let block = heap::allocate(16 + (*seed >> 32) as usize % 7985);
            assert!(!block.is_null());
            // SAFETY: a block is at least 16 bytes long.
            unsafe { block.write_bytes(1, 16) };
            block
        })
        .collect();
    // SAFETY: live blocks, which are not used any more.
    blocks.into_iter().for_each(|block| unsafe { heap::free(block) });
}

fn spans_taken() -> u64 {
    (0..CLASSES).map(|class| stats::row(class).spans_taken).sum()
}

/// Returns the bytes of claimed slabs. Where no block is live, threads cache all of these.
fn cached() -> usize {
    let extent = slabs::extent();
    extent.mapped - extent.free
}

static POLICY: Snapshot = Snapshot { cache_total: 10 << 20, ..Snapshot::DEFAULT };

#[test]
fn the_caches_of_all_threads_are_bounded_and_one_that_is_too_small_grows() {
    policy::publish(&POLICY);
    let mut seed = 1;
    let taken: Vec<u64> = (0..4 * TURNS)
        .map(|_| {
            let before = spans_taken();
            churn(&mut seed);
            spans_taken() - before
        })
        .collect();
    let (first, last): (u64, u64) = (taken[1..=TURNS / 2].iter().sum(), taken[taken.len() - TURNS / 2..].iter().sum());
    assert!(first >= 5 * TURNS as u64, "at first a thread may cache less than this one uses: {taken:?}");
    assert!(last * 8 < first, "at the end it may cache nearly all that it uses: {taken:?}");
    heap::collect();
    assert_eq!(cached(), 0, "collecting returns all of it");

    let (all_churned, all_seen) = (Barrier::of(THREADS + 1), Barrier::of(THREADS + 1));
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let (all_churned, all_seen) = (&all_churned, &all_seen);
            scope.spawn(move || {
                let mut seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread + 1) | 1;
                (0..TURNS).for_each(|_| churn(&mut seed));
                all_churned.wait();
                all_seen.wait();
            });
        }
        all_churned.wait();
        let (cached, counters) = (cached(), debug::validate());
        common::check_counters();
        all_seen.wait();
        assert_eq!(counters, Ok(0));
        let total = POLICY.cache_total;
        assert!(cached <= total, "{THREADS} threads cache {cached} bytes of free blocks, {total} at most");
        assert!(cached > total / 2, "they cache about as much as they may: {cached}");
    });
}
