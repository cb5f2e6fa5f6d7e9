//! Size classes: the block size of each class, the class of each size, and the number of slabs in a span of each class.
//!
//! The first class has blocks of 8 bytes. Then come steps of 16 up to 128, and then eight classes per doubling up to 32
//! KiB, so at most 12.5 % of a block is waste above 128 bytes. Above 1, 2 and 4 KiB there is one extra class, larger by
//! a thirty-second, because many programs ask for a power of two and a header.
//!
//! A span has as many slabs as keep its tail small, the bytes behind its last block: at most 1/32 of the span, or 1/8
//! for blocks above a page. Tails of the latter are address space only, since no page of them is touched. All of this
//! is computed and proved at compile time.

use core::ops::Range;
use hakmem_os::vm::{ADDRESS_BITS, PAGE};

/// Bytes of a slab: the unit in which segments hand out memory and the page map describes it.
pub const SLAB: usize = 64 << 10;
/// Bytes of a segment.
pub const SEGMENT: usize = 2 << 20;
/// Slabs of a segment.
pub const SLABS: usize = SEGMENT / SLAB;

/// Number of size classes.
pub const CLASSES: usize = 9 + 8 * DOUBLINGS + (EXTRA.end - EXTRA.start);
/// Doublings from 128 bytes up to the largest size class.
const DOUBLINGS: usize = 8;
/// The exponents of the powers of two above which there is an extra class.
const EXTRA: Range<usize> = 10..13;

/// The largest size served from a size class.
pub const SMALL_MAX: usize = 128 << DOUBLINGS;
/// The largest size in the first table from sizes to bins, which has an entry for each multiple of 8.
pub const TABLE_MAX: usize = 1024;
/// The second table, for sizes above [`TABLE_MAX`], has an entry for each multiple of this.
pub const STEP_ABOVE: usize = TABLE_MAX / 32;
/// The largest size of a medium block, which is slabs of a segment. A larger block is a mapping of its own.
pub const MEDIUM_MAX: usize = SEGMENT / 2;
/// The largest sum of a size and an alignment. It is so far below the size of the address space that a size which is
/// rounded up to slabs is still smaller than the address space.
const REQUEST_MAX: usize = (1 << ADDRESS_BITS) - SLAB;

/// The block size of each class, in bytes.
pub const BLOCK_SIZE: [u32; CLASSES] = block_sizes();
/// The slabs of a span of each class.
pub const SPAN_SLABS: [u8; CLASSES] = span_slabs();

/// The bytes of a span of `class`.
pub const fn span_bytes(class: usize) -> usize {
    SPAN_SLABS[class] as usize * SLAB
}

/// The blocks of a span of each class.
pub const SPAN_BLOCKS: [u32; CLASSES] = {
    let mut blocks = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        blocks[class] = span_bytes(class) as u32 / BLOCK_SIZE[class];
        class += 1;
    }
    blocks
};

/// The class of `size`, which is from 0 to [`SMALL_MAX`].
#[inline(always)]
pub const fn class_of(size: usize) -> usize {
    if size <= 128 {
        // 0..=8 is class 0, 9..=16 is class 1, then follow steps of 16.
        if size <= 8 { 0 } else { size.div_ceil(16) }
    } else {
        let last = size - 1;
        let doubling = last.ilog2() as usize;
        // The top bit of `last` is bit `doubling` (7 or more). The three bits below it choose one of eight classes. In
        // a doubling with an extra class, a size belongs to the extra class if these three and the next two bits are
        // all zero.
        let eighth = (last >> (doubling - 3)) - 8;
        let extra = if doubling < EXTRA.start {
            0
        } else if doubling < EXTRA.end {
            doubling - EXTRA.start + (last >> (doubling - 5) != 32) as usize
        } else {
            EXTRA.end - EXTRA.start
        };
        9 + (doubling - 7) * 8 + eighth + extra
    }
}

/// Whether the address space has a place for `size` bytes at a multiple of `align` other than 0. This is checked first
/// for every request that is not small: so a request that is refused costs nothing, and no later computation with its
/// size can overflow.
pub const fn has_place(size: usize, align: usize) -> bool {
    size <= REQUEST_MAX && align <= REQUEST_MAX - size
}

/// The smallest class whose blocks hold `size` bytes and lie at multiples of `align`, a power of two; [`CLASSES`] if
/// there is none.
#[inline]
pub const fn class_of_aligned(size: usize, align: usize) -> usize {
    let least = if size < align { align } else { size };
    if least > SMALL_MAX {
        return CLASSES;
    }
    let mut class = class_of(least);
    // A span starts at a multiple of a slab, so its blocks are aligned if the block size is. The last class has every
    // alignment.
    while class < CLASSES - 1 && BLOCK_SIZE[class] as usize & (align - 1) != 0 {
        class += 1;
    }
    class
}

const fn block_sizes() -> [u32; CLASSES] {
    let mut sizes = [0; CLASSES];
    sizes[0] = 8;
    let mut class = 1;
    while class <= 8 {
        sizes[class] = 16 * class as u32;
        class += 1;
    }
    let mut doubling = 7;
    while class < CLASSES {
        if EXTRA.start <= doubling && doubling < EXTRA.end {
            sizes[class] = 33 << (doubling - 5);
            class += 1;
        }
        let mut eighths = 9;
        while eighths <= 16 {
            sizes[class] = eighths << (doubling - 3);
            class += 1;
            eighths += 1;
        }
        doubling += 1;
    }
    sizes
}

/// The tail of a span of `class` is at most the bytes of the span divided by this number.
const fn tail_divisor(class: usize) -> usize {
    if BLOCK_SIZE[class] as usize <= PAGE { 32 } else { 8 }
}

const fn span_slabs() -> [u8; CLASSES] {
    let mut spans = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let mut slabs = 1;
        while (slabs * SLAB) % BLOCK_SIZE[class] as usize > slabs * SLAB / tail_divisor(class) {
            slabs += 1;
        }
        spans[class] = slabs as u8;
        class += 1;
    }
    spans
}

const _: () = {
    let mut class = 0;
    while class < CLASSES {
        let block = BLOCK_SIZE[class] as usize;
        let span = SPAN_SLABS[class] as usize * SLAB;
        assert!(class_of(block) == class, "a block size belongs to its own class");
        assert!(class + 1 == CLASSES || class_of(block + 1) == class + 1, "the next size belongs to the next class");
        assert!(span <= 8 * SLAB, "a span stays small beside its segment");
        assert!(span % block <= span / tail_divisor(class), "the tail of a span is small");
        assert!(block == 8 || block.is_multiple_of(16), "blocks from 16 bytes up are aligned to 16");
        assert!(block <= TABLE_MAX || block.is_multiple_of(STEP_ABOVE), "the steps of the table separate the classes");
        class += 1;
    }
    assert!(BLOCK_SIZE[CLASSES - 1] as usize == SMALL_MAX);
    assert!(
        SMALL_MAX.is_power_of_two() && SMALL_MAX <= SLAB,
        "blocks of the last class have every alignment that a small block can have"
    );
    assert!(class_of(0) == 0);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_with_bounded_waste() {
        for size in 1..=SMALL_MAX {
            let block = BLOCK_SIZE[class_of(size)] as usize;
            assert!(block >= size);
            assert!(block - size <= usize::max(15, size / 8), "{size} in {block}");
        }
    }

    #[test]
    fn aligned_requests_get_the_smallest_blocks_at_multiples_of_their_alignment() {
        for align in (0..=15).map(|shift| 1_usize << shift) {
            for size in [0, 1, 7, 24, 100, 129, 1000, 4097, 8192, 8193, 20_000, 30_000, SMALL_MAX] {
                let class = class_of_aligned(size, align);
                let fits = |class: &usize| {
                    let block = BLOCK_SIZE[*class] as usize;
                    block >= size && block.is_multiple_of(align)
                };
                assert_eq!(Some(class), (0..CLASSES).find(fits), "{size} bytes at a multiple of {align}");
            }
        }
        assert_eq!(class_of_aligned(SMALL_MAX + 1, 16), CLASSES);
        assert_eq!(class_of_aligned(16, 2 * SMALL_MAX), CLASSES);
        assert_eq!(class_of_aligned(usize::MAX, 1 << 63), CLASSES);
    }

    #[test]
    fn a_request_that_has_a_place_can_be_rounded_up_within_the_address_space() {
        let end = 1 << ADDRESS_BITS;
        assert!(
            has_place(0, 1) && has_place(REQUEST_MAX - 1, 1) && has_place(1, end / 2) && has_place(end / 4, end / 2)
        );
        assert!((REQUEST_MAX - 1).next_multiple_of(SLAB) < end);
        for (size, align) in [(end, 1), (end - PAGE, 1), (end / 2, end / 2), (0, end), (1, 1 << 63), (usize::MAX, 1)] {
            assert!(!has_place(size, align), "{size} bytes at a multiple of {align}");
        }
    }
}
