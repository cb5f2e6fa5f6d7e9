//! What cannot be had is refused as it stands: nothing is given back for it, nothing is counted, and the kernel is asked a few times at
//! most. What can be had once something went back is given.
//!
//! The limits are a fake kernel's, since the real ones are the machine's. One test in a process of its own.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::base::accounting;
use hakmem_core::policy::{self, Snapshot};
use hakmem_core::reclaim::limits;
use hakmem_core::stats::{Totals, totals};
use hakmem_core::{debug, heap};
use hakmem_os::kernel::{Call, Kernel, calls, real, replace};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const NONE: usize = usize::MAX;

/// Address space that the process has, and may have.
static HAS: AtomicUsize = AtomicUsize::new(0);
static MAY_HAVE: AtomicUsize = AtomicUsize::new(NONE);
/// What no mapping may be larger than, unless it says that it is mostly never touched: memory of the machine.
static MACHINE: AtomicUsize = AtomicUsize::new(NONE);
/// Whether there are as many mappings as there may be.
static TOO_MANY: AtomicBool = AtomicBool::new(false);

static FAKE: Kernel = Kernel {
    map: |hint, len, lazy| {
        let refused = TOO_MANY.load(Relaxed) || len > MACHINE.load(Relaxed) && !lazy;
        if refused || HAS.load(Relaxed).saturating_add(len) > MAY_HAVE.load(Relaxed) {
            return 0;
        }
        let at = (real().map)(hint, len, lazy);
        HAS.fetch_add(if at == 0 { 0 } else { len }, Relaxed);
        at
    },
    unmap: |at, len| {
        // SAFETY: passed on with the caller's obligations.
        let unmapped = unsafe { (real().unmap)(at, len) };
        HAS.fetch_sub(if unmapped { len } else { 0 }, Relaxed);
        TOO_MANY.store(false, Relaxed);
        unmapped
    },
    // SAFETY: as above.
    purge: |at, len| unsafe { (real().purge)(at, len) },
    remap: |at, old, new, to| {
        if to == 0 && HAS.load(Relaxed).saturating_add(new.saturating_sub(old)) > MAY_HAVE.load(Relaxed) {
            return false;
        }
        // SAFETY: as above.
        let done = unsafe { (real().remap)(at, old, new, to) };
        let change = if to == 0 { new.wrapping_sub(old) } else { old.wrapping_neg() };
        HAS.fetch_add(if done { change } else { 0 }, Relaxed);
        done
    },
    // SAFETY: as above.
    advise: |at, len, advice| unsafe { (real().advise)(at, len, advice) },
    // Nothing goes back by the clock.
    now: || 0,
    micros: || (real().micros)(),
};

/// Large caches, so that there is something to lose.
static POLICY: Snapshot = Snapshot { retain_bytes: GIB, ..Snapshot::DEFAULT };

fn calls_made() -> usize {
    [Call::Map, Call::Unmap, Call::Purge, Call::Remap, Call::Other].into_iter().map(calls).sum()
}

/// Bytes of memory that is no file's, counted page by page: the sums that the kernel keeps are off by some.
fn resident() -> usize {
    let sums = std::fs::read_to_string("/proc/self/smaps_rollup").expect("this process");
    let line = sums.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Allocates blocks of `size` bytes, `bytes` in all, and writes them.
fn fill(size: usize, bytes: usize) -> Vec<*mut u8> {
    let allocate = |_| {
        let block = heap::allocate(size);
        assert!(!block.is_null(), "{size} bytes");
        // SAFETY: the block is that long.
        unsafe { block.write_bytes(1, size) };
        block
    };
    (0..bytes / size).map(allocate).collect()
}

fn free(blocks: impl IntoIterator<Item = *mut u8>) {
    // SAFETY: live blocks.
    blocks.into_iter().for_each(|block| unsafe { heap::free(block) });
}

/// Free blocks of each kind, in each place where they wait, and some live ones in between.
fn scatter() -> Vec<*mut u8> {
    let mut live = Vec::new();
    for size in [48, 700, 9000, 70_000, 900_000, 5 * MIB, 30 * MIB] {
        let mut blocks = fill(size, (4 * size).max(6 * MIB));
        live.extend(blocks.pop());
        free(blocks);
    }
    live
}

fn give_all_back() {
    heap::collect();
    slabs::purge(Purge::All);
    large_cache::unmap(Purge::All);
}

/// All but the calls of the kernel.
fn state() -> (Totals, limits::Limits) {
    let calls =
        Totals { kernel_maps: 0, kernel_unmaps: 0, kernel_purges: 0, kernel_remaps: 0, kernel_others: 0, ..totals() };
    (calls, limits::read())
}

/// Refuses `size` bytes ten thousand times.
fn refused(what: &str, size: usize) {
    let live = scatter();
    let grown = fill(2 * MIB, 2 * MIB)[0];
    let attempts: [(&str, &dyn Fn() -> *mut u8); 4] = [
        ("allocate", &|| heap::allocate(size)),
        ("allocate_zeroed", &|| heap::allocate_zeroed(size)),
        ("allocate_aligned", &|| heap::allocate_aligned(size, 4 * MIB)),
        // SAFETY: a live block, which stays.
        ("reallocate", &|| unsafe { heap::reallocate(grown, size, 1) }),
    ];
    for (how, attempt) in attempts {
        const TIMES: usize = 2500;
        let (before, has, made, was) = (state(), HAS.load(Relaxed), calls_made(), resident());
        for _ in 0..TIMES {
            assert!(attempt().is_null(), "{what}: {size} bytes are had by {how}");
        }
        let made = calls_made() - made;
        assert!(made <= 8 * TIMES, "{what}: {made} calls for {TIMES} refusals of {how}");
        let (totals, limits) = state();
        assert_eq!(totals, before.0, "{what}: {how}");
        let limits = limits::Limits { hard_times: before.1.hard_times, ..limits };
        assert_eq!(limits, before.1, "{what}: {how}");
        assert_eq!(HAS.load(Relaxed), has, "{what}: address space after {how}");
        let more = resident().abs_diff(was);
        assert!(more < 512 << 10, "{what}: {} KiB more or less are resident after {how}", more >> 10);
    }
    free(live.into_iter().chain([grown]));
    give_all_back();
}

/// Whether `size` bytes are had where all but `room` bytes were used, and are free now, in blocks of each kind.
fn had(size: usize, limit: impl Fn(usize)) {
    for used in [48, 700, 9000, 70_000, 900_000, 5 * MIB, 30 * MIB] {
        free(fill(used, 90 * MIB));
        limit(60 * MIB);
        let block = heap::allocate(size);
        assert!(!block.is_null(), "{size} bytes, where blocks of {used} bytes are free");
        free([block]);
        limit(NONE);
        give_all_back();
    }
}

#[test]
fn what_cannot_be_had_changes_nothing_and_what_can_is_given() {
    policy::publish(&POLICY);
    replace(Some(&FAKE));

    MACHINE.store(64 * GIB, Relaxed);
    refused("more than the machine has", 100 << 40);
    refused("just more than the machine has", 64 * GIB + 20 * MIB);
    MACHINE.store(NONE, Relaxed);

    let leave = |room: usize| MAY_HAVE.store(HAS.load(Relaxed).saturating_add(room), Relaxed);
    leave(GIB);
    refused("address space", 300 * GIB);
    refused("address space", 1300 * MIB);
    MAY_HAVE.store(NONE, Relaxed);

    assert!(limits::set(0, 600 * MIB));
    refused("the hard limit", 100 << 40);
    refused("the hard limit", 601 * MIB);
    assert!(limits::set(0, 0));

    had(120 * MIB, leave);
    had(120 * MIB, |room| {
        let used = accounting::used();
        assert!(limits::set(0, if room == NONE { 0 } else { used + room }));
    });
    free(fill(3 * MIB, 30 * MIB));
    TOO_MANY.store(true, Relaxed);
    free(fill(70 * MIB, 70 * MIB));

    replace(None);
    if let Err(fault) = debug::validate() {
        panic!("{fault:?}");
    }
}
