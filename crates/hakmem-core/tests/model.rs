//! The allocator against a map: sequences of operations that proptest makes and shrinks, with the whole-heap validator
//! after each operation.
//!
//! Every block is filled with a pattern of its own, which is checked when the block is freed or moved: blocks that overlap,
//! move without their contents or are handed out twice cannot pass. Alignment, usable size, zeroes and statistics are
//! checked beside it.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod common;

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::debug;
use hakmem_core::{heap, stats};
use proptest::prelude::*;
use std::sync::Mutex;

#[derive(Clone, Debug)]
enum Op {
    Allocate { size: usize, align: usize },
    AllocateZeroed { size: usize, align: usize },
    Reallocate { which: usize, size: usize, keeps_align: bool },
    Free { which: usize },
    FreeElsewhere { which: usize },
    Collect,
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        1 => Just(0_usize),
        8 => 0_usize..1100,
        3 => 1000_usize..40_000,
        2 => 32_000_usize..1_200_000,
        1 => 900_000_usize..6_000_000,
    ]
}

fn aligns() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0_u32..18, 1 => 18_u32..24].prop_map(|shift| 1 << shift)
}

fn operations() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (sizes(), aligns()).prop_map(|(size, align)| Op::Allocate { size, align }),
        2 => (sizes(), aligns()).prop_map(|(size, align)| Op::AllocateZeroed { size, align }),
        4 => (any::<usize>(), sizes(), any::<bool>())
            .prop_map(|(which, size, keeps_align)| Op::Reallocate { which, size, keeps_align }),
        6 => any::<usize>().prop_map(|which| Op::Free { which }),
        1 => any::<usize>().prop_map(|which| Op::FreeElsewhere { which }),
        1 => Just(Op::Collect),
    ]
}

struct Block {
    at: *mut u8,
    size: usize,
    align: usize,
    pattern: u8,
}

// SAFETY: a block is memory, which any thread may free.
unsafe impl Send for Block {}

impl Block {
    fn new(at: *mut u8, size: usize, align: usize, pattern: u8) -> Block {
        assert!(!at.is_null(), "{size} bytes");
        assert_eq!(at as usize % align, 0, "{size} bytes at a multiple of {align}");
        if size >= 16 {
            assert_eq!(at as usize % 16, 0, "{size} bytes");
        }
        assert!(heap::usable_size(at).expect("a block") >= size);
        let block = Block { at, size, align, pattern };
        // SAFETY: the block is that long.
        unsafe { at.write_bytes(pattern, size) };
        block
    }

    fn check(&self, len: usize) {
        // SAFETY: the block is that long, and was written.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, len) };
        assert!(bytes.iter().all(|byte| *byte == self.pattern), "the contents of {:?} changed", self.at);
    }

    fn free(self) {
        self.check(self.size);
        // SAFETY: a live block, which this was the only record of.
        unsafe { heap::free(self.at) };
    }
}

fn run(operations: Vec<Op>) {
    let live_before = stats::totals().live_bytes;
    let mut blocks: Vec<Block> = Vec::new();
    for (at, operation) in operations.into_iter().enumerate() {
        let pattern = at as u8 ^ 0x5A;
        match operation {
            Op::Allocate { size, align } => {
                blocks.push(Block::new(heap::allocate_aligned(size, align), size, align, pattern));
            }
            Op::AllocateZeroed { size, align } => {
                let block = match align {
                    1 => heap::allocate_zeroed(size),
                    _ => heap::allocate_zeroed_aligned(size, align),
                };
                let usable = heap::usable_size(block).expect("a block");
                // SAFETY: all of the usable size may be read.
                let bytes = unsafe { std::slice::from_raw_parts(block, usable) };
                assert!(bytes.iter().all(|byte| *byte == 0), "{size} bytes");
                blocks.push(Block::new(block, size, align, pattern));
            }
            Op::Reallocate { which, size, keeps_align } if !blocks.is_empty() => {
                let place = which % blocks.len();
                let old = &blocks[place];
                old.check(old.size);
                // C's realloc keeps none.
                let align = if keeps_align { old.align } else { 1 };
                // SAFETY: a live block, forgotten when it moves.
                let new = unsafe { heap::reallocate(old.at, size, align) };
                let moved = Block { at: new, ..*old };
                moved.check(old.size.min(size));
                blocks[place] = Block::new(new, size, align, pattern);
            }
            Op::Free { which } if !blocks.is_empty() => blocks.swap_remove(which % blocks.len()).free(),
            Op::FreeElsewhere { which } if !blocks.is_empty() => {
                let block = blocks.swap_remove(which % blocks.len());
                std::thread::spawn(move || block.free()).join().expect("the other thread");
            }
            Op::Collect => {
                heap::collect();
                slabs::purge(Purge::All);
                large_cache::unmap(Purge::All);
            }
            _ => {}
        }
        let live = debug::validate().unwrap_or_else(|fault| panic!("{fault:?}"));
        assert!(live <= blocks.len() as u64);
        let totals = stats::totals();
        assert_eq!(totals.allocations - totals.frees, blocks.len() as u64);
        common::check_books();
    }
    blocks.into_iter().for_each(Block::free);
    assert_eq!(stats::totals().live_bytes, live_before);
}

/// The statistics are the process's, so cases must not overlap.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations_agree_with_a_map(operations in prop::collection::vec(operations(), 1..150)) {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        run(operations);
    }
}
