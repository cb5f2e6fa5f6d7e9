//! The medium cache: a thread gets its freed medium blocks again, caches few compared with what it has, and releases
//! what it does not use.
//!
//! # Safety
//! Blocks are freed once, and not used after that.

mod clock;

use hakmem_core::debug;
use hakmem_core::{heap, policy, stats};
use hakmem_os::kernel::replace;
use std::thread;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn free(blocks: impl IntoIterator<Item = usize>) {
    // SAFETY: live blocks, each once.
    blocks.into_iter().for_each(|block| unsafe { heap::free(block as *mut u8) });
}

fn allocate(size: usize) -> usize {
    let block = heap::allocate(size) as usize;
    assert_ne!(block, 0);
    block
}

/// Bytes in the medium caches of all threads.
fn cached() -> usize {
    assert_eq!(debug::validate().map_err(|fault| fault.what).err(), None);
    stats::big_row(stats::Big::Medium).cached_bytes as usize
}

/// Settings and clock are for the whole process, so one test checks one thing after the other.
#[test]
fn medium_blocks_are_cached_for_the_thread_that_freed_them() {
    replace(Some(&clock::KERNEL));
    a_freed_block_is_allocated_again();
    a_cache_is_small_compared_with_what_its_thread_has();
    an_unused_block_is_released();
    a_block_goes_to_the_cache_of_the_thread_that_frees_it();
    replace(None);
}

fn a_freed_block_is_allocated_again() {
    let (one, other) = (allocate(100 * KIB), allocate(100 * KIB));
    free([one, other]);
    assert_eq!(cached(), 256 * KIB, "two blocks of two slabs");
    assert_eq!(heap::usable_size(one as *mut u8), None, "a cached block is not a live one");
    assert_eq!([allocate(70 * KIB), allocate(128 * KIB)], [other, one], "the latest first, of as many slabs");
    assert_eq!(cached(), 0);
    let zeroed = {
        free([one]);
        heap::allocate_zeroed(100 * KIB)
    };
    assert_eq!(zeroed as usize, one);
    // SAFETY: the block is that long.
    assert!(unsafe { core::slice::from_raw_parts(zeroed, 100 * KIB) }.iter().all(|byte| *byte == 0));
    free([one, other]);
    heap::collect();
    assert_eq!(cached(), 0, "collecting empties the cache");
}

fn a_cache_is_small_compared_with_what_its_thread_has() {
    free((0..20).map(|_| allocate(MIB)).collect::<Vec<_>>());
    assert_eq!(cached(), 0, "a block that is larger than the cache is not cached");
    let mut blocks: Vec<usize> = (0..1000).map(|at| allocate((40 + at % 10 * 60) * KIB)).collect();
    let mut most = 0;
    for half in 0..2 {
        free(blocks.drain(..500));
        let has = stats::big_row(stats::Big::Medium).live_bytes as usize;
        assert!(cached() <= (has / 8).max(256 * KIB), "{} cached, {has} in use", cached());
        most = cached().max(most);
        assert!(half == 1 || most > MIB, "{most} cached");
    }
    heap::collect();
}

fn an_unused_block_is_released() {
    // One slow path in many makes a pass.
    let some_slow_paths = || free((0..64).map(|_| allocate(2 * MIB)).collect::<Vec<_>>());
    // A new peak gives back everything; this is the last one.
    some_slow_paths();
    free([allocate(100 * KIB)]);
    for _ in 0..3 {
        clock::turn(policy::current().decay_ms);
        free([allocate(100 * KIB)]);
        some_slow_paths();
        assert_eq!(cached(), 128 * KIB, "a block used between two passes stays cached");
    }
    for _ in 0..2 {
        clock::turn(policy::current().decay_ms);
        some_slow_paths();
    }
    assert_eq!(cached(), 0, "a block not used between two passes is released");
}

fn a_block_goes_to_the_cache_of_the_thread_that_frees_it() {
    let block = allocate(100 * KIB);
    thread::spawn(move || {
        free([block]);
        assert_eq!(allocate(100 * KIB), block);
        free([block]);
        assert_eq!(cached(), 128 * KIB);
    })
    .join()
    .expect("no panic");
    assert_eq!(cached(), 0, "a thread that ends leaves nothing in its cache");
    let another = allocate(100 * KIB);
    free([another]);
    heap::collect();
}
