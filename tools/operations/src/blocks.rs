//! Blocks: a record of each, and the pattern that it is filled with.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their usable size.

use std::alloc::Layout;
use std::collections::BTreeMap;

/// In a larger block only the ends are filled, and one byte here and there.
const FILLED_WHOLLY: usize = 64 << 10;
const EDGE: usize = 4096;
const STRIDE: usize = 8191;

/// A live block. Its contents are checked before it is freed.
pub struct Block {
    pub at: *mut u8,
    pub size: usize,
    pub usable: usize,
    /// For a block of the Rust face.
    pub layout: Option<Layout>,
    seed: u8,
}

// SAFETY: a block is memory, which any thread may use and free.
unsafe impl Send for Block {}

impl Block {
    /// Records a block and fills all of its usable size, which the program may use.
    pub fn new(at: *mut u8, size: usize, usable: usize, layout: Option<Layout>, seed: u8) -> Block {
        let block = Block { at, size, usable, layout, seed };
        for part in parts(usable) {
            // SAFETY: within the block.
            let bytes = unsafe { std::slice::from_raw_parts_mut(at.add(part.start), part.len()) };
            bytes.iter_mut().zip(part).for_each(|(byte, offset)| *byte = pattern(seed, offset));
        }
        block
    }

    /// Panics unless the bytes below `len`, now at `at`, are those that were written.
    pub fn check_at(&self, at: *const u8, len: usize) {
        for part in parts(self.usable).map(|part| part.start.min(len)..part.end.min(len)) {
            // SAFETY: the caller's block is that long, and was written.
            let bytes = unsafe { std::slice::from_raw_parts(at.add(part.start), part.len()) };
            for (byte, offset) in bytes.iter().zip(part) {
                let expected = pattern(self.seed, offset);
                assert!(
                    *byte == expected,
                    "byte {offset} of the {} (usable {}) at {at:?} is {byte}, was {expected}",
                    self.size,
                    self.usable
                );
            }
        }
    }

    /// Panics unless the block has the contents that were written.
    pub fn check(&self) {
        self.check_at(self.at, self.usable);
    }
}

fn pattern(seed: u8, offset: usize) -> u8 {
    seed ^ (offset as u8).wrapping_mul(29) ^ (offset >> 8) as u8
}

/// The parts of a block of so many usable bytes that are filled.
fn parts(usable: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (first, last) =
        if usable <= FILLED_WHOLLY { (0..usable, usable..usable) } else { (0..EDGE, usable - EDGE..usable) };
    let between = (first.end..last.start).step_by(STRIDE).map(|at| at..at + 1);
    [first, last].into_iter().chain(between)
}

/// Panics unless all bytes are zero. In a large block it checks the parts that are filled, where an earlier block would
/// have left its contents.
pub fn expect_zeroes(at: *const u8, usable: usize) {
    for part in parts(usable) {
        // SAFETY: the caller's block is that long.
        let bytes = unsafe { std::slice::from_raw_parts(at.add(part.start), part.len()) };
        let stale = bytes.iter().position(|byte| *byte != 0);
        assert!(stale.is_none(), "byte {} of {usable} at {at:?} is not zero", part.start + stale.unwrap_or(0));
    }
}

/// Where live blocks lie.
#[derive(Default)]
pub struct Ranges(BTreeMap<usize, usize>);

impl Ranges {
    /// Notes a block; panics if another one lies there.
    pub fn add(&mut self, at: usize, len: usize) {
        let end = at + len;
        if let Some((other, other_end)) = self.0.range(..end).next_back() {
            assert!(*other_end <= at, "a block at {at:#x}..{end:#x} lies over one at {other:#x}..{other_end:#x}");
        }
        self.0.insert(at, end);
    }

    /// Forgets a block.
    pub fn remove(&mut self, at: usize) {
        self.0.remove(&at).expect("a block that was noted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_byte_that_changes_is_noticed_wherever_the_pattern_was_written() {
        for usable in [1, 16, 5000, FILLED_WHOLLY + 50_000] {
            let mut memory = vec![0_u8; usable];
            let block = Block::new(memory.as_mut_ptr(), usable, usable, None, 7);
            block.check();
            for at in parts(usable).flatten().step_by(usable / 7 + 1) {
                memory[at] ^= 1;
                let copy = memory.clone();
                let address = copy.as_ptr() as usize;
                let block = Block { at: memory.as_mut_ptr(), size: usable, usable, layout: None, seed: 7 };
                let noticed = catch_unwind(move || block.check_at(address as *const u8, usable)).is_err();
                assert!(noticed, "byte {at} of {usable}");
                memory[at] ^= 1;
            }
        }
    }

    #[test]
    fn what_is_not_zero_is_noticed() {
        let mut memory = vec![0_u8; 200_000];
        expect_zeroes(memory.as_ptr(), memory.len());
        memory[EDGE + 2 * STRIDE] = 1;
        assert!(catch_unwind(|| expect_zeroes(memory.as_ptr(), memory.len())).is_err());
    }

    #[test]
    fn blocks_that_overlap_are_noticed() {
        let mut ranges = Ranges::default();
        ranges.add(100, 50);
        ranges.add(150, 1);
        ranges.remove(100);
        ranges.add(90, 60);
        for (at, len) in [(89, 2), (149, 1), (150, 1), (80, 100), (149, 10)] {
            let mut other = Ranges(ranges.0.clone());
            assert!(catch_unwind(move || other.add(at, len)).is_err(), "{at} {len}");
        }
    }
}
