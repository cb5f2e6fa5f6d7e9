//! Finds the number of the block that begins at an address in a span, by a multiplication.

use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SPAN_SLABS};

/// Returns the number of the block of `class` that begins `distance` bytes into its span; if none begins there, `Err`
/// with the distance from the beginning of the block that contains it.
#[inline]
pub fn index_in(class: usize, distance: usize) -> Result<usize, usize> {
    let (index, is_border) = divide(RECIPROCAL[class], distance);
    if is_border { Ok(index) } else { Err(distance.wrapping_sub(index.wrapping_mul(BLOCK_SIZE[class] as usize))) }
}

/// Divides `distance` by the block size that belongs to `reciprocal`. Returns the number of the block that contains
/// that byte, and whether the block begins there.
#[inline(always)]
pub(super) fn divide(reciprocal: u64, distance: usize) -> (usize, bool) {
    let quotient = u128::from(reciprocal) * distance as u128;
    // The lower half is the remainder as a fraction of a block. Less than one byte's fraction of a block is a rounding
    // error.
    ((quotient >> 64) as usize, (quotient as u64) < reciprocal)
}

/// Whether a block of `class` may begin at `address`, as far as the address shows: always true where spans are longer
/// than one slab.
#[inline(always)]
pub fn may_begin_at(class: usize, address: usize) -> bool {
    let (reciprocal, distance) = (RECIPROCAL_OF_SLAB[class], (address % SLAB) as u32);
    reciprocal.wrapping_mul(distance) <= reciprocal.wrapping_sub(1)
}

/// The same as [`RECIPROCAL`], but times 2 to the 32, which is enough for one slab; 0 where spans are longer.
const RECIPROCAL_OF_SLAB: [u32; CLASSES] = {
    let mut reciprocals = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        if SPAN_SLABS[class] == 1 {
            reciprocals[class] = (1_u64 << 32).div_ceil(BLOCK_SIZE[class] as u64) as u32;
        }
        class += 1;
    }
    reciprocals
};

/// One divided by each block size, times 2 to the 64, rounded up: a multiplication is faster than a division. A span
/// has fewer than 2^20 bytes and a block at most 2^15, so the rounding never carries to the next byte.
pub(super) const RECIPROCAL: [u64; CLASSES] = {
    let mut reciprocals = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        assert!(SPAN_SLABS[class] as usize * SLAB <= 1 << 19 && BLOCK_SIZE[class] <= 1 << 15);
        reciprocals[class] = (1_u128 << 64).div_ceil(BLOCK_SIZE[class] as u128) as u64;
        class += 1;
    }
    reciprocals
};
