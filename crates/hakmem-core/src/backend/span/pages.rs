//! Sets of pages of a span.

use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SPAN_SLABS};
use hakmem_os::vm::PAGE;

/// Pages of a span, one bit each, lowest first.
pub type Pages = u128;

/// The most blocks that a span has.
pub(super) const MOST_BLOCKS: usize = {
    let (mut most, mut class) = (0, 0);
    while class < CLASSES {
        let blocks = SPAN_SLABS[class] as usize * SLAB / BLOCK_SIZE[class] as usize;
        if blocks > most {
            most = blocks;
        }
        assert!(SPAN_SLABS[class] as usize * SLAB / PAGE <= Pages::BITS as usize);
        class += 1;
    }
    most
};

/// The pages from `from` up to `to`.
pub(super) fn pages(from: usize, to: usize) -> Pages {
    let up_to = |page: usize| if page < Pages::BITS as usize { (1 << page) - 1 } else { Pages::MAX };
    up_to(to) & !up_to(from)
}

/// The runs of set bits, lowest first: first page and number of pages.
pub fn runs(mut set: Pages) -> impl Iterator<Item = (usize, usize)> {
    core::iter::from_fn(move || {
        let first = set.trailing_zeros() as usize;
        let count = (set.checked_shr(first as u32)?).trailing_ones() as usize;
        set &= !pages(first, first + count);
        (count != 0).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn runs_of_pages_are_found_in_order() {
        let found = |set| runs(set).collect::<Vec<_>>();
        assert_eq!(found(0), []);
        assert_eq!(found(0b1101_1000), [(3, 2), (6, 2)]);
        assert_eq!(found(Pages::MAX), [(0, 128)]);
        assert_eq!(found(1 << 127), [(127, 1)]);
    }
}
