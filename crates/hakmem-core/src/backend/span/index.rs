//! From an address in a span to the number of the block that begins there, by a multiplication.

use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SPAN_SLABS};

/// Number of the block of `class` that begins `distance` bytes into its span; otherwise, how far behind the beginning of one
/// that is.
#[inline]
pub fn index_in(class: usize, distance: usize) -> Result<usize, usize> {
    let index = nearest_index(class, distance);
    let rest = distance.wrapping_sub(index.wrapping_mul(BLOCK_SIZE[class] as usize));
    if rest == 0 { Ok(index) } else { Err(rest) }
}

/// Number of the block of `class` that lies `distance` bytes into its span.
#[inline(always)]
pub(super) fn nearest_index(class: usize, distance: usize) -> usize {
    ((distance as u64).wrapping_mul(RECIPROCAL[class]) >> SHIFT) as usize
}

/// One divided by each block size, times 2 to the [`SHIFT`], rounded up: a multiplication is shorter than a division. A span has
/// fewer than 2^19 bytes and a block at most 2^15, so the rounding never carries to the next block.
const RECIPROCAL: [u64; CLASSES] = {
    let mut reciprocals = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        assert!(SPAN_SLABS[class] as usize * SLAB <= 1 << 19 && BLOCK_SIZE[class] <= 1 << 15);
        reciprocals[class] = (1_u64 << SHIFT).div_ceil(BLOCK_SIZE[class] as u64);
        class += 1;
    }
    reciprocals
};
const SHIFT: u32 = 40;
