//! Zeroed memory becomes resident only where it is touched, whatever its alignment. The test counts resident pages, so
//! it has a process of its own.
//!
//! # Safety
//! The blocks are live, and freed with the layout that they were allocated with.

use hakmem_alloc::Hakmem;
use std::alloc::{GlobalAlloc, Layout};
use std::fs;

const PAGE: usize = 4096;
const SIZE: usize = 128 << 20;

/// Returns the resident pages of this process.
fn resident() -> usize {
    let numbers = fs::read_to_string("/proc/self/statm").expect("the numbers of this process");
    numbers.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages")
}

#[test]
fn fresh_pages_of_zeroed_blocks_are_not_touched() {
    for align in [1, 16, 32, 64, PAGE, 64 << 10, 2 << 20, 8 << 20] {
        let layout = Layout::from_size_align(SIZE, align).expect("a layout");
        let before = resident();
        // SAFETY: the size is not zero.
        let block = unsafe { Hakmem.alloc_zeroed(layout) };
        let more = resident().saturating_sub(before);
        assert!(!block.is_null() && (block as usize).is_multiple_of(align));
        assert!(more < SIZE / PAGE / 32, "aligned to {align}: {more} pages of {} were touched", SIZE / PAGE);
        for place in [0, SIZE / 2, SIZE - 1] {
            // SAFETY: within the block.
            assert_eq!(unsafe { block.add(place).read() }, 0);
        }
        // SAFETY: a live block of this layout.
        unsafe { Hakmem.dealloc(block, layout) };
        // A cached mapping would not be fresh.
        Hakmem.collect();
    }
}
