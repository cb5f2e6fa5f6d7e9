//! Trims: much idle memory goes back at once, as far as the budget reaches, and never nearly all of it unless a thread ended.
//!
//! # Safety
//! Blocks are freed once, and not used after that.

mod clock;

use hakmem_core::backend::{availability, large_cache};
use hakmem_core::base::{accounting, sizes};
use hakmem_core::{heap, policy};
use hakmem_os::kernel::replace;
use std::thread;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What the budget grows by in a millisecond.
const EACH_MS: usize = 16 * KIB;

fn allocate(bytes: usize) -> Vec<usize> {
    let blocks: Vec<usize> = (0..bytes / (64 * KIB)).map(|_| heap::allocate(64 * KIB) as usize).collect();
    assert!(!blocks.contains(&0));
    blocks
}

fn free(blocks: Vec<usize>) {
    // SAFETY: live blocks, each once.
    blocks.into_iter().for_each(|block| unsafe { heap::free(block as *mut u8) });
}

fn idle() -> usize {
    availability::dirty() * sizes::SLAB + large_cache::extent().kept
}

/// Slow paths that change next to nothing.
fn some_slow_paths() {
    (0..64).for_each(|_| free(allocate(64 * KIB)));
}

/// The process's settings and clock are one, so one test looks at one after the other.
#[test]
fn much_that_is_idle_goes_back_within_the_budget() {
    replace(Some(&clock::KERNEL));
    // No pass is due after this one while the clock is turned by less than half the decay time.
    clock::turn(1_000_000);
    some_slow_paths();
    what_falls_idle_is_trimmed_to_a_third();
    what_is_spent_comes_back_with_time();
    an_ending_thread_leaves_little();
    who_keeps_memory_for_long_is_not_trimmed();
    who_asks_for_all_is_told_of_address_space_too();
    replace(None);
}

fn what_falls_idle_is_trimmed_to_a_third() {
    let (few, many) = (allocate(6 * MIB), allocate(6 * MIB));
    clock::turn(150);
    let before = accounting::used();
    free(many);
    some_slow_paths();
    assert!(idle() > 5 * MIB && accounting::used() == before, "{} of {before} idle is not much", idle());
    free(few);
    some_slow_paths();
    let gone = before - accounting::used();
    assert!((150 * EACH_MS - MIB..=150 * EACH_MS).contains(&gone), "{gone} went back after 150 ms");
}

fn what_is_spent_comes_back_with_time() {
    let before = accounting::used();
    some_slow_paths();
    assert_eq!(accounting::used(), before, "the budget is spent");
    clock::turn(90);
    some_slow_paths();
    let gone = before - accounting::used();
    assert!((MIB..=90 * EACH_MS + MIB).contains(&gone), "{gone} went back after 90 ms more");
    heap::collect();
}

fn an_ending_thread_leaves_little() {
    let mine = allocate(20 * MIB);
    clock::turn(600);
    some_slow_paths();
    clock::turn(200);
    let before = accounting::used();
    thread::spawn(|| free(allocate(3 * MIB))).join().expect("no panic");
    some_slow_paths();
    assert!(idle() <= accounting::used() / 16 + MIB, "{} idle of {}", idle(), accounting::used());
    assert!(accounting::used() <= before + 2 * MIB);
    free(mine);
    heap::collect();
}

fn who_keeps_memory_for_long_is_not_trimmed() {
    static FOR_LONG: policy::Snapshot = policy::Snapshot { decay_ms: 3_600_000, ..policy::Snapshot::DEFAULT };
    policy::publish(&FOR_LONG);
    let blocks = allocate(12 * MIB);
    clock::turn(1000);
    let before = accounting::used();
    free(blocks);
    some_slow_paths();
    assert!(accounting::used() >= before, "nothing went back");
}

fn who_asks_for_all_is_told_of_address_space_too() {
    static AT_ONCE: policy::Snapshot = policy::Snapshot { decay_ms: 0, ..policy::Snapshot::DEFAULT };
    heap::trim();
    policy::publish(&AT_ONCE);
    free(allocate(6 * MIB));
    assert!(heap::trim(), "what is on the shelf");
    let before = availability::mapped();
    free(vec![heap::allocate(MIB) as usize]);
    assert!(availability::mapped() > before && idle() == 0, "its pages went back at once");
    assert!(heap::trim() && availability::mapped() == before, "the segment is left");
    assert!(!heap::trim(), "and then nothing");
}
