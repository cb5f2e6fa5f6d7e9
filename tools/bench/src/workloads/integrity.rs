//! integrity: every block keeps its contents and its alignment, and no two overlap, while threads hand blocks on.
//!
//! Each block is filled with a pattern of its own, also where it lies in the same place as another, and read in full
//! before it is freed or reallocated, half of the time by another thread than the one that filled it. Zeroed blocks must be zero.
//! A wrong byte ends the worker with a message. Not a measurement, but a row like any other.
//!
//! Parameters: `steps` (of all threads together), `threads`, `slots` (of each thread), `low` and `high` (sizes in
//! bytes), `seed`.
//!
//! # Safety
//! Blocks are read and written within their size, by the one thread that holds them.

use super::prelude::*;
use std::{slice, sync::Mutex};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "integrity",
    "the contract itself: contents, zeroes, alignment",
    &[
        Row::new("1-2048 x2 threads", "steps=600000 threads=2 slots=2000 low=1 high=2048 seed=1"),
        Row::new("1-256 KiB x2 threads", "steps=6000 threads=2 slots=64 low=1024 high=262144 seed=1"),
    ],
    run,
);

/// A block whose bytes are known.
struct Filled {
    block: Block<Malloc>,
    size: usize,
    /// What its pattern begins with.
    seed: u64,
}

fn run(parameters: &Parameters, meter: &mut Meter) {
    let threads = parameters.get("threads");
    let steps = (parameters.get("steps") / threads).max(1);
    let sizes = parameters.sizes();
    let per_thread = parameters.size("slots");
    // Any thread may take any block: half of them were filled by another one.
    let slots: Vec<Mutex<Option<Filled>>> = (0..per_thread * threads as usize).map(|_| Mutex::new(None)).collect();
    let states: Vec<_> = (0..threads).map(|index| Random::new(parameters.get("seed") + index)).collect();
    run_together(meter, steps * threads, states, |mut random| {
        for _ in 0..steps {
            let index = random.below(slots.len());
            let mut slot = slots[index].lock().expect("a thread that finds a wrong byte ends the process");
            *slot = match slot.take() {
                None => Some(Filled::new(&mut random, sizes)),
                Some(filled) if random.below(4) == 0 => Some(filled.resized(sizes.draw(&mut random))),
                Some(filled) => {
                    filled.checked().block.release();
                    None
                }
            };
        }
    });
    for slot in slots {
        if let Some(filled) = slot.into_inner().expect("no thread panicked") {
            filled.checked().block.release();
        }
    }
}

impl Filled {
    fn new(random: &mut Random, sizes: Sizes) -> Self {
        let size = sizes.draw(random);
        let (block, alignment) = match random.below(4) {
            0 => (zeroed(size), 1),
            1 => {
                let alignment = 16 << random.below(9);
                (Block::allocate_aligned(alignment, size), alignment)
            }
            _ => (Block::allocate(size), 1),
        };
        let address = block.address().addr().get();
        // C asks for 16 only where an object of that size fits.
        let alignment = alignment.max(if size >= 16 { 16 } else { 8 });
        assert!(address % alignment == 0, "a block of {size} bytes lies at {address:#x}, no multiple of {alignment}");
        Self { block, size, seed: random.draw() }.filled()
    }

    /// The block with a new size, whose old contents must still be there.
    fn resized(self, size: usize) -> Self {
        let old = self.checked();
        let kept = old.size.min(size);
        let moved = Self { block: old.block.reallocate(size), size, seed: old.seed };
        moved.verify(kept);
        moved.filled()
    }

    /// The same block with the pattern in all of it.
    fn filled(mut self) -> Self {
        let seed = self.seed;
        for (index, byte) in self.bytes().iter_mut().enumerate() {
            *byte = pattern(seed, index);
        }
        self
    }

    /// The same block, if all of it is what was written.
    fn checked(self) -> Self {
        self.verify(self.size);
        self
    }

    /// Compares the first `length` bytes with what was written.
    fn verify(&self, length: usize) {
        // SAFETY: the block has `size` bytes, all of them written.
        let bytes = unsafe { slice::from_raw_parts(self.block.address().as_ptr(), length) };
        let wrong = bytes.iter().enumerate().find(|(index, byte)| **byte != pattern(self.seed, *index));
        if let Some((index, byte)) = wrong {
            let expected = pattern(self.seed, index);
            panic!("byte {index} of a block of {} bytes is {byte}, not {expected}: it was overwritten", self.size);
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block has `size` bytes, and nobody else has it.
        unsafe { slice::from_raw_parts_mut(self.block.address().as_ptr(), self.size) }
    }
}

/// A block from calloc, if all of it is zero.
fn zeroed(size: usize) -> Block<Malloc> {
    let block = Block::allocate_zeroed(size);
    // SAFETY: the block has `size` bytes, which calloc has initialised.
    let bytes = unsafe { slice::from_raw_parts(block.address().as_ptr(), size) };
    if let Some(index) = bytes.iter().position(|byte| *byte != 0) {
        panic!("byte {index} of {size} bytes from calloc is {}, not 0", bytes[index]);
    }
    block
}

/// What byte `index` of a block's pattern is.
fn pattern(seed: u64, index: usize) -> u8 {
    // Eight bytes of the seed in turn; what is added keeps a shifted copy from looking right.
    ((seed >> (index % 8 * 8)) as u8).wrapping_add((index / 8) as u8)
}
