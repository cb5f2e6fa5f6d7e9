//! The shelf: a thread's medium blocks come back to it, stay few beside what it has, and leave when they are not wanted.
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

/// Bytes on shelves.
fn shelved() -> usize {
    assert_eq!(debug::validate().map_err(|fault| fault.what).err(), None);
    stats::big_row(stats::Big::Medium).cached_bytes as usize
}

/// The processes' settings and clock are one, so one test looks at one after the other.
#[test]
fn medium_blocks_wait_for_the_thread_that_freed_them() {
    replace(Some(&clock::KERNEL));
    what_is_freed_comes_back();
    a_shelf_is_small_beside_what_its_thread_has();
    what_is_not_wanted_leaves();
    what_another_thread_frees_is_that_thread_s();
    replace(None);
}

fn what_is_freed_comes_back() {
    let (one, other) = (allocate(100 * KIB), allocate(100 * KIB));
    free([one, other]);
    assert_eq!(shelved(), 256 * KIB, "two blocks of two slabs");
    assert_eq!(heap::usable_size(one as *mut u8), None, "what is on the shelf is no block");
    assert_eq!([allocate(70 * KIB), allocate(128 * KIB)], [other, one], "the latest first, of as many slabs");
    assert_eq!(shelved(), 0);
    let zeroed = {
        free([one]);
        heap::allocate_zeroed(100 * KIB)
    };
    assert_eq!(zeroed as usize, one);
    // SAFETY: the block is that long.
    assert!(unsafe { core::slice::from_raw_parts(zeroed, 100 * KIB) }.iter().all(|byte| *byte == 0));
    free([one, other]);
    heap::collect();
    assert_eq!(shelved(), 0, "who asks for all gets it");
}

fn a_shelf_is_small_beside_what_its_thread_has() {
    free((0..20).map(|_| allocate(MIB)).collect::<Vec<_>>());
    assert_eq!(shelved(), 0, "a block that is more than the shelf may hold goes by");
    let mut blocks: Vec<usize> = (0..1000).map(|at| allocate((40 + at % 10 * 60) * KIB)).collect();
    let mut most = 0;
    for half in 0..2 {
        free(blocks.drain(..500));
        let has = stats::big_row(stats::Big::Medium).live_bytes as usize;
        assert!(shelved() <= (has / 8).max(256 * KIB), "{} on the shelf, {has} in use", shelved());
        most = shelved().max(most);
        assert!(half == 1 || most > MIB, "{most} on the shelf");
    }
    heap::collect();
}

fn what_is_not_wanted_leaves() {
    // A pass is made on a slow path, every so often.
    let some_slow_paths = || free((0..64).map(|_| allocate(2 * MIB)).collect::<Vec<_>>());
    // At a new peak all goes back; this is the last one.
    some_slow_paths();
    free([allocate(100 * KIB)]);
    for _ in 0..3 {
        clock::turn(policy::current().decay_ms);
        free([allocate(100 * KIB)]);
        some_slow_paths();
        assert_eq!(shelved(), 128 * KIB, "used between two passes, it stays");
    }
    for _ in 0..2 {
        clock::turn(policy::current().decay_ms);
        some_slow_paths();
    }
    assert_eq!(shelved(), 0, "not used between two passes, it leaves");
}

fn what_another_thread_frees_is_that_thread_s() {
    let block = allocate(100 * KIB);
    thread::spawn(move || {
        free([block]);
        assert_eq!(allocate(100 * KIB), block);
        free([block]);
        assert_eq!(shelved(), 128 * KIB);
    })
    .join()
    .expect("no panic");
    assert_eq!(shelved(), 0, "a thread that ends leaves nothing on its shelf");
    let another = allocate(100 * KIB);
    free([another]);
    heap::collect();
}
