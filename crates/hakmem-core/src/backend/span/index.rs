//! From an address in a span to the number of the block that begins there, by a multiplication.

use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SPAN_SLABS};

/// Number of the block of `class` that begins `distance` bytes into its span; otherwise, how far behind the beginning of one
/// that is.
#[inline]
pub fn index_in(class: usize, distance: usize) -> Result<usize, usize> {
    let (index, is_border) = divide(RECIPROCAL[class], distance);
    if is_border { Ok(index) } else { Err(distance.wrapping_sub(index.wrapping_mul(BLOCK_SIZE[class] as usize))) }
}

/// Divides `distance` by the block size with this reciprocal: the number of the block that lies there, and whether it begins there.
#[inline(always)]
pub(super) fn divide(reciprocal: u64, distance: usize) -> (usize, bool) {
    let quotient = u128::from(reciprocal) * distance as u128;
    // The lower half is what is left over, in the same measure: less than one byte's part of a block is nothing but rounding.
    ((quotient >> 64) as usize, (quotient as u64) < reciprocal)
}

/// Whether a block of `class` begins at `address`, as far as that is seen without the span: where spans are one slab long.
#[inline(always)]
pub fn may_begin_at(class: usize, address: usize) -> bool {
    let (reciprocal, distance) = (RECIPROCAL_OF_SLAB[class], (address % SLAB) as u32);
    reciprocal.wrapping_mul(distance) <= reciprocal.wrapping_sub(1)
}

/// The same as [`RECIPROCAL`], times 2 to the 32, which is enough for a slab; 0 where spans are longer.
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

/// One divided by each block size, times 2 to the 64, rounded up: a multiplication is shorter than a division. A span has
/// fewer than 2^20 bytes and a block at most 2^15, so the rounding never carries to the next byte.
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
