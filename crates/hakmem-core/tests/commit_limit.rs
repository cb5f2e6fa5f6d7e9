//! The system counts every mapping against a limit, touched or not, as Linux does with vm.overcommit_memory=2: also those of
//! which the allocator says that they are mostly never touched.
//!
//! The setting is the whole machine's, so a fake kernel stands in for it. One test in a process of its own, since the kernel
//! is the process's.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::debug;
use hakmem_core::heap;
use hakmem_os::kernel::{Kernel, real, replace};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const LIMIT: usize = 200 << 20;

static COMMITTED: AtomicUsize = AtomicUsize::new(0);

/// Counts `len` bytes more, if `call` succeeds and the limit allows it.
fn commit(len: usize, call: impl FnOnce() -> bool) -> bool {
    if COMMITTED.fetch_add(len, Relaxed) + len <= LIMIT && call() {
        return true;
    }
    COMMITTED.fetch_sub(len, Relaxed);
    false
}

static FAKE: Kernel = Kernel {
    map: |hint, len, lazy| {
        let mut at = 0;
        commit(len, || {
            at = (real().map)(hint, len, lazy);
            at != 0
        });
        at
    },
    unmap: |at, len| {
        // SAFETY: passed on with the caller's obligations.
        let unmapped = unsafe { (real().unmap)(at, len) };
        COMMITTED.fetch_sub(if unmapped { len } else { 0 }, Relaxed);
        unmapped
    },
    // SAFETY: as above.
    purge: |at, len| unsafe { (real().purge)(at, len) },
    remap: |at, old, new, to| {
        // SAFETY: as above. Moved onto a range that was mapped, the old one is gone; in place, it changes by the difference.
        let call = || unsafe { (real().remap)(at, old, new, to) };
        let done = if to == 0 { commit(new.saturating_sub(old), call) } else { call() };
        let gone = if to == 0 { old.saturating_sub(new) } else { old };
        COMMITTED.fetch_sub(if done { gone } else { 0 }, Relaxed);
        done
    },
    // SAFETY: as above.
    advise: |at, len, advice| unsafe { (real().advise)(at, len, advice) },
    now: || (real().now)(),
    micros: || (real().micros)(),
};

#[test]
fn where_every_mapping_counts_little_is_mapped_and_nothing_is_lost() {
    replace(Some(&FAKE));
    let mut best = [0; 5];
    for round in 0..3 {
        for (at, size) in [24, 5000, 60_000, 900_000, 5_000_000].into_iter().enumerate() {
            let mut blocks = Vec::new();
            loop {
                let block = heap::allocate(size);
                if block.is_null() {
                    break;
                }
                // SAFETY: the block is that long.
                unsafe { block.write_bytes(1, size.min(100)) };
                blocks.push(block);
            }
            let got = blocks.len() * size;
            assert!(got > LIMIT / 2, "{} MiB in blocks of {size}, round {round}", got >> 20);
            assert!(got >= best[at] - best[at] / 20, "{got} bytes, {} before", best[at]);
            best[at] = got;
            // SAFETY: live blocks.
            blocks.into_iter().for_each(|block| unsafe { heap::free(block) });
        }
    }
    heap::collect();
    slabs::purge(Purge::All);
    large_cache::unmap(Purge::All);
    if let Err(fault) = debug::validate() {
        panic!("{fault:?}");
    }
    let left = COMMITTED.load(Relaxed);
    assert!(left < 4 << 20, "{} KiB stay mapped", left >> 10);
}
