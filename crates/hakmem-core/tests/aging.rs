//! A thread that is awake gives back what it caches and does not use, in whatever order it freed it.
//!
//! One test in a process of its own, since it replaces the clock.
//!
//! # Safety
//! Blocks are freed once, and not used after that.

mod clock;
mod common;

use hakmem_core::base::demand;
use hakmem_core::base::guard::{self, OnMisuse};
use hakmem_core::base::sizes::class_of;
use hakmem_core::{debug, heap, policy, reclaim, scavenger, stats};
use hakmem_os::kernel::replace;
use hakmem_os::task::Memory;
use std::collections::HashSet;

const SIZE: usize = 224;
const BLOCKS: usize = 30_000;

fn allocate(size: usize) -> usize {
    let block = heap::allocate(size) as usize;
    assert_ne!(block, 0);
    block
}

fn free(block: usize) {
    // SAFETY: a live block, which the caller does not use any more.
    unsafe { heap::free(block as *mut u8) };
}

fn spans(size: usize) -> u64 {
    let row = stats::row(class_of(size));
    row.spans_taken - row.spans_retired
}

/// Moves the items into a fixed, random order.
fn shuffle(items: &mut [usize]) {
    let mut state = 88_172_645_463_325_252_u64;
    for at in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(at, state as usize % (at + 1));
    }
}

/// Makes a pass of the decay and lets the scavenger look at all threads, of which this one is awake: between two looks
/// it makes a few calls, and the fast paths serve all of them but the first.
fn pass(memory: &Memory, size: usize) {
    clock::turn(policy::current().decay_ms);
    reclaim::answer(demand::TIME);
    scavenger::empty_idle_heaps(Some(memory), false);
    for _ in 0..5 {
        free(allocate(size));
    }
}

#[test]
fn a_thread_that_is_awake_gives_back_what_it_does_not_use() {
    replace(Some(&clock::KERNEL));
    let memory = Memory::open().expect("a file of the kernel");
    let mut blocks: Vec<usize> = (0..BLOCKS).map(|_| allocate(SIZE)).collect();
    let most = spans(SIZE);
    shuffle(&mut blocks);
    // A few blocks stay in use: with the last one a bin may give back all its blocks at once.
    let live = blocks.split_off(BLOCKS - 3);
    blocks.into_iter().for_each(free);
    assert!(spans(SIZE) > most / 4, "a bin caches its oldest blocks, which lie in {} of {most} spans", spans(SIZE));

    // Another class is in use.
    (0..4).for_each(|_| pass(&memory, 48));
    assert!(spans(SIZE) <= 3, "{} spans for three blocks of a class that was not used for two passes", spans(SIZE));

    // The same class is in use, but only a few blocks of it.
    let mut blocks: Vec<usize> = (0..BLOCKS).map(|_| allocate(SIZE)).collect();
    shuffle(&mut blocks);
    blocks.into_iter().for_each(free);
    (0..4).for_each(|_| pass(&memory, SIZE));
    // Three blocks live, those that were used in the last pass, and a run: each in a span of its own at worst.
    assert!(spans(SIZE) <= 10, "{} spans of {most} for a handful of blocks", spans(SIZE));
    live.into_iter().for_each(free);

    // Blocks that are in use between two passes stay cached.
    let refills = stats::row(class_of(48)).refills;
    (0..20).for_each(|_| pass(&memory, 48));
    assert!(stats::row(class_of(48)).refills <= refills + 1, "blocks that are used in each pass stay cached");
    a_class_that_was_idle_keeps_what_it_uses_afterwards(&memory);
    a_list_that_a_double_free_made_a_circle_is_mended(&memory);
    common::check_counters();
    debug::validate().expect("a sound heap");
}

fn a_class_that_was_idle_keeps_what_it_uses_afterwards(memory: &Memory) {
    const IDLE: usize = 768;
    let blocks: Vec<usize> = (0..300).map(|_| allocate(IDLE)).collect();
    // One block in each ten stays in use, so the spans stay, with blocks to give.
    let (live, dead): (Vec<_>, Vec<_>) = blocks.into_iter().enumerate().partition(|(number, _)| number % 10 == 0);
    dead.into_iter().for_each(|(_, block)| free(block));
    (0..4).for_each(|_| pass(memory, 48));
    free(allocate(IDLE));
    let refills = stats::row(class_of(IDLE)).refills;
    pass(memory, 48);
    let more: Vec<usize> = (0..10).map(|_| allocate(IDLE)).collect();
    assert_eq!(stats::row(class_of(IDLE)).refills, refills, "what came into the bin since the last aging is not old");
    more.into_iter().chain(live.into_iter().map(|(_, block)| block)).for_each(free);
}

fn a_list_that_a_double_free_made_a_circle_is_mended(memory: &Memory) {
    const TWICE: usize = 320;
    guard::set_action(OnMisuse::Ignore);
    let reports = guard::reports();
    let blocks: Vec<usize> = (0..1500).map(|_| allocate(TWICE)).collect();
    blocks[..1000].iter().copied().for_each(free);
    pass(memory, TWICE);
    // So many frees lie between that no other check sees it.
    blocks[1000..1021].iter().copied().for_each(free);
    free(blocks[1000]);
    pass(memory, TWICE);
    assert_eq!(guard::reports() - reports, 1, "the double free is noticed");
    debug::validate().expect("a sound heap");
    let live = &blocks[1021..];
    let more: Vec<usize> = (0..3000).map(|_| allocate(TWICE)).collect();
    let different: HashSet<usize> = more.iter().chain(live).copied().collect();
    assert_eq!(different.len(), more.len() + live.len(), "no block is handed out twice");
    more.iter().chain(live).copied().for_each(free);
}
