//! What a pointer points at, as far as the page map and the descriptors behind it say.

use super::entry::{class_in, is_small};
use crate::backend::large;
use crate::backend::medium;
use crate::backend::segment::span_of;
use crate::backend::span::index_in;
use crate::base::sizes::{BLOCK_SIZE, SLAB, SPAN_BLOCKS, SPAN_SLABS};
use crate::map::page_map;

/// Whether `address`, which lies in a span of `class`, is where a block begins.
#[inline]
pub(super) fn is_border(class: usize, address: usize) -> bool {
    let index = if SPAN_SLABS[class] == 1 {
        index_in(class, address % SLAB).ok()
    } else {
        span_of(address).and_then(|span| span.index_of(address).ok())
    };
    index.is_some_and(|index| index < SPAN_BLOCKS[class] as usize)
}

/// Usable bytes of the block at `address`, whose entry this is; `None` if no block of ours begins there.
pub(super) fn usable_size_of(entry: usize, address: usize) -> Option<usize> {
    if is_small(entry) {
        let class = class_in(entry);
        is_border(class, address).then_some(BLOCK_SIZE[class] as usize)
    } else if entry == page_map::MEDIUM {
        medium::usable_size(address)
    } else if large::is_large(entry) {
        large::usable_size(entry, address)
    } else {
        None
    }
}

/// Usable bytes of a block of ours; `None` for anything else.
#[inline]
pub fn usable_size(block: *const u8) -> Option<usize> {
    usable_size_of(page_map::entry(block as usize), block as usize)
}
