//! What threads keep at hand once they have freed everything: together no more than the bound, and what they use each turn.
//!
//! One test in a process of its own, since the bound is the process's.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod common;
mod meeting;

use hakmem_core::backend::slabs;
use hakmem_core::base::sizes::CLASSES;
use hakmem_core::debug;
use hakmem_core::policy::{self, Snapshot};
use hakmem_core::{heap, stats};
use meeting::Meeting;

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
    // SAFETY: live blocks, forgotten here.
    blocks.into_iter().for_each(|block| unsafe { heap::free(block) });
}

fn spans_taken() -> u64 {
    (0..CLASSES).map(|class| stats::row(class).spans_taken).sum()
}

/// Bytes of slabs that hold something. Where nothing is live, this is what threads keep.
fn kept() -> usize {
    let extent = slabs::extent();
    extent.mapped - extent.free
}

static POLICY: Snapshot = Snapshot { cache_total: 10 << 20, ..Snapshot::DEFAULT };

#[test]
fn what_threads_keep_is_bounded_for_all_together_and_grows_for_one_that_misses_it() {
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
    assert!(first >= 5 * TURNS as u64, "what a thread may keep at first is less than this one uses: {taken:?}");
    assert!(last * 8 < first, "and in the end nearly as much: {taken:?}");
    heap::collect();
    assert_eq!(kept(), 0, "all of it is given back by who collects");

    let (all_churned, all_seen) = (Meeting::of(THREADS + 1), Meeting::of(THREADS + 1));
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
        let (kept, books) = (kept(), debug::validate());
        common::check_books();
        all_seen.wait();
        assert_eq!(books, Ok(0));
        let total = POLICY.cache_total;
        assert!(kept <= total, "{THREADS} threads keep {kept} bytes of nothing but free blocks, {total} at most");
        assert!(kept > total / 2, "what they may keep they do: {kept}");
    });
}
