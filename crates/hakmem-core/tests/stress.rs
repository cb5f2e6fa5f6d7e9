//! Threads that allocate, reallocate, align and hand over, for a fixed number of operations, and check every byte pattern.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod common;

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::debug;
use hakmem_core::{heap, stats};
use std::sync::Mutex;

const THREADS: u64 = 8;
const OPERATIONS: usize = 60_000;
const SLOTS: usize = 400;

/// xorshift64*: the same sequence in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit
    }
}

struct Block {
    at: *mut u8,
    size: usize,
    align: usize,
    pattern: u8,
}

// SAFETY: a block is memory, which any thread may use and free.
unsafe impl Send for Block {}

fn allocate(random: &mut Random) -> Block {
    let size = match random.below(1000) {
        0 => random.below(4 << 20),
        1..10 => random.below(200_000),
        10..100 => random.below(20_000),
        _ => random.below(600),
    } as usize;
    let align = match random.below(1000) {
        0 => 1 << random.below(24),
        1..64 => 1 << random.below(16),
        _ => 1,
    };
    let at = match random.below(4) {
        0 if align == 1 => heap::allocate_zeroed(size),
        0 => heap::allocate_zeroed_aligned(size, align),
        _ => heap::allocate_aligned(size, align),
    };
    assert!(!at.is_null() && (at as usize).is_multiple_of(align));
    let pattern = random.next() as u8;
    // SAFETY: the block is that long.
    unsafe { at.write_bytes(pattern, size) };
    Block { at, size, align, pattern }
}

impl Block {
    fn check(&self, len: usize) {
        // SAFETY: the block is that long, and was written.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, len) };
        assert!(bytes.iter().all(|byte| *byte == self.pattern), "the contents of {:?} changed", self.at);
    }

    fn resize(&mut self, size: usize) {
        self.check(self.size);
        // SAFETY: a live block, forgotten when it moves.
        self.at = unsafe { heap::reallocate(self.at, size, self.align) };
        assert!(!self.at.is_null() && (self.at as usize).is_multiple_of(self.align));
        self.check(self.size.min(size));
        // SAFETY: the block is that long.
        unsafe { self.at.write_bytes(self.pattern, size) };
        self.size = size;
    }

    fn free(self) {
        self.check(self.size);
        // SAFETY: a live block, which this was the only record of.
        unsafe { heap::free(self.at) };
    }
}

fn work(seed: u64, exchange: &[Mutex<Vec<Block>>]) {
    let mut random = Random(seed | 1);
    let mut slots: Vec<Option<Block>> = (0..SLOTS).map(|_| None).collect();
    for _ in 0..OPERATIONS {
        let slot = &mut slots[random.below(SLOTS as u64) as usize];
        match (slot.take(), random.below(10)) {
            (None, 0) => {
                *slot = exchange[random.below(exchange.len() as u64) as usize].lock().expect("lock").pop();
            }
            (None, _) => *slot = Some(allocate(&mut random)),
            (Some(block), 0 | 1) => {
                let mut other = exchange[random.below(exchange.len() as u64) as usize].lock().expect("lock");
                other.push(block);
            }
            (Some(mut block), 2) => {
                block.resize((block.size + 1) * random.below(4) as usize);
                *slot = Some(block);
            }
            (Some(block), _) => block.free(),
        }
    }
    slots.into_iter().flatten().for_each(Block::free);
}

#[test]
fn threads_keep_their_blocks_apart_and_the_books_balance() {
    let exchange: Vec<_> = (0..4).map(|_| Mutex::new(Vec::new())).collect();
    for round in 0..3 {
        std::thread::scope(|scope| {
            let seed = |thread| 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(round * THREADS + thread + 1);
            let exchange = &exchange;
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(seed(n), exchange))).collect();
            // Joined one by one: only that waits for a thread's last destructors, and so for its heap to be given back.
            threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
        });
        if let Err(fault) = debug::validate() {
            panic!("after round {round}: {fault:?}");
        }
        common::check_books();
    }
    for bag in exchange {
        bag.into_inner().expect("lock").into_iter().for_each(Block::free);
    }
    heap::collect();
    slabs::purge(Purge::All);
    large_cache::unmap(Purge::All);
    assert_eq!(debug::validate(), Ok(0));
    common::check_books();
    let totals = stats::totals();
    assert_eq!(totals.live_bytes, 0, "{totals:?}");
    assert_eq!(totals.allocations, totals.frees);
    assert_eq!(totals.cached_bytes, 0, "exited threads leave nothing in their bins");
    assert_eq!(totals.segments, 0, "nothing live, nothing mapped: {totals:?}");
    assert_eq!(totals.mapped_bytes, totals.metadata_bytes, "{totals:?}");
}
