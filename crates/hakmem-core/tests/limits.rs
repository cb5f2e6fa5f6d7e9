//! The limits. No number of threads exceeds the hard one. The caches are short while a limit is reached, and as before
//! afterwards; no number of such changes takes memory. The system is asked for its limits no more often than these may
//! have changed.
//!
//! The limits are for the whole process, so one test checks one thing after the other.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod clock;

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::base::accounting;
use hakmem_core::debug;
use hakmem_core::map::metadata;
use hakmem_core::policy::Snapshot;
use hakmem_core::reclaim::limits;
use hakmem_core::reclaim::purge;
use hakmem_core::{heap, policy};
use hakmem_os::kernel::{Call, calls, replace};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

const MIB: usize = 1 << 20;

/// Allocates a block and writes all of it; false where the allocation fails.
fn add(blocks: &mut Vec<(*mut u8, usize)>, size: usize) -> bool {
    let block = heap::allocate(size);
    if block.is_null() {
        return false;
    }
    // SAFETY: the block is that long.
    unsafe { block.write_bytes(size as u8, size) };
    blocks.push((block, size));
    true
}

fn free(blocks: &mut Vec<(*mut u8, usize)>, keep: usize) {
    for (block, size) in blocks.drain(keep.min(blocks.len())..) {
        // SAFETY: a live block, of which every byte was written.
        unsafe {
            assert_eq!((*block, *block.add(size - 1)), (size as u8, size as u8));
            heap::free(block);
        }
    }
}

#[test]
fn limits_hold_and_change_nothing_permanently() {
    replace(Some(&clock::KERNEL));
    the_hard_limit_is_never_exceeded();
    caches_are_short_while_the_soft_limit_is_reached();
    the_system_is_asked_when_its_answer_may_have_changed();
    replace(None);
    if let Err(fault) = debug::validate() {
        panic!("{fault:?}");
    }
}

fn the_hard_limit_is_never_exceeded() {
    const HARD: usize = 48 * MIB;
    assert!(limits::set(0, HARD) && !limits::set(HARD + 1, HARD));
    let running = AtomicBool::new(true);
    let failures = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|seed| {
                let failures = &failures;
                scope.spawn(move || {
                    let mut blocks = Vec::new();
                    for step in 0..6000_usize {
                        let size = [20, 400, 9000, 60_000, 700_000, 3_000_000][(step + seed) % 6] + step % 13;
                        if !add(&mut blocks, size) {
                            failures.fetch_add(1, Relaxed);
                            free(&mut blocks, step % 7);
                        }
                    }
                    free(&mut blocks, 0);
                })
            })
            .collect();
        scope.spawn(|| {
            while running.load(Relaxed) {
                assert!(accounting::used() <= HARD, "{} bytes are used", accounting::used());
                thread::yield_now();
            }
        });
        let ends: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        running.store(false, Relaxed);
        assert!(ends.iter().all(Result::is_ok));
    });
    let failures = failures.into_inner();
    assert!(failures > 10, "{failures} allocations failed");
    assert!(limits::read().hard_times >= failures);

    // All the memory can be allocated again, whatever it was used for.
    heap::collect();
    let mut blocks = Vec::new();
    assert!(add(&mut blocks, HARD - 4 * MIB), "{} bytes are used", accounting::used());
    assert!(!add(&mut blocks, 8 * MIB));
    free(&mut blocks, 0);
    assert!(limits::set(0, 0));
}

fn caches_are_short_while_the_soft_limit_is_reached() {
    heap::collect();
    slabs::purge(Purge::All);
    large_cache::unmap(Purge::All);
    let usual = *policy::current();
    let (soft, metadata) = (accounting::used() + 4 * MIB, metadata::mapped());
    assert!(limits::set(soft, 0));
    let before = limits::read().soft_times;
    let mut blocks = Vec::new();
    for round in 1..=1000 {
        while accounting::used() <= soft {
            assert!(add(&mut blocks, 50_000));
        }
        let limits = limits::read();
        assert_eq!((limits.soft_times, limits.short_caches), (before + round, 1), "round {round}");
        assert!(policy::current().cache_bytes < usual.cache_bytes);
        free(&mut blocks, 20);
        clock::turn(usual.decay_ms);
        // The first pass gives back what is free, and the next one finds that it was enough.
        limits::enforce();
        limits::enforce();
        assert_eq!((*policy::current(), limits::read().short_caches), (usual, 0), "round {round}");
    }
    free(&mut blocks, 0);
    assert!(limits::set(0, 0));
    // Less than a descriptor for each round, but it may include a leaf of the page map, half a megabyte.
    assert!(metadata::mapped() <= metadata + (600 << 10), "{} bytes of metadata more", metadata::mapped() - metadata);
}

/// A test cannot rely on how near this machine's control groups are to their limits, but the machine is hardly short of
/// memory all the time. With the longest decay no slow path makes a pass by itself.
static PRESSURE_ONLY: Snapshot =
    Snapshot { limit_system: 0, limit_pressure: 99, decay_ms: 3_600_000, ..Snapshot::DEFAULT };

/// Advances the clock by `ms` and returns whether the scavenger, whose part this test plays, then reads the system's
/// limits.
fn looks_after(ms: usize) -> bool {
    clock::turn(ms);
    let before = calls(Call::Other);
    limits::read_system_if_due();
    calls(Call::Other) != before
}

fn grow_by_a_sixteenth(blocks: &mut Vec<(*mut u8, usize)>) {
    let used = accounting::used();
    while accounting::used() <= used + used / 16 {
        assert!(add(blocks, 2 * MIB));
    }
}

fn the_system_is_asked_when_its_answer_may_have_changed() {
    policy::publish(&PRESSURE_ONLY);
    let mut blocks = Vec::new();
    while accounting::used() < 56 * MIB {
        assert!(add(&mut blocks, 2 * MIB));
    }
    assert!(!looks_after(60_000), "a small process looks");
    while accounting::used() < 65 * MIB {
        assert!(add(&mut blocks, 2 * MIB));
    }
    assert!(looks_after(1000), "a process that became large does not look");

    let quiet = [1000, 3000, 5000, 999].map(looks_after);
    assert_eq!(quiet, [false; 4], "looks though nothing changed");
    assert!(looks_after(1), "does not look after ten seconds");

    assert!(add(&mut blocks, 3 * MIB));
    assert!(!looks_after(1000), "looks for a little growth");
    grow_by_a_sixteenth(&mut blocks);
    assert!(looks_after(0), "does not look though it grew");
    grow_by_a_sixteenth(&mut blocks);
    assert!(!looks_after(999), "looks twice in a second");
    assert!(looks_after(1), "does not look though it grew again");
    assert!(!looks_after(1000), "looks though it grew no further");

    // A process that was small for a while has forgotten what it read.
    free(&mut blocks, 0);
    heap::collect();
    purge::purge_everything();
    assert!(accounting::used() < limits::LARGE_PROCESS && !looks_after(1000), "a small process looks");
    while accounting::used() < 65 * MIB {
        assert!(add(&mut blocks, 2 * MIB));
    }
    assert!(looks_after(0), "a process that became large again does not look");
    free(&mut blocks, 0);
}
