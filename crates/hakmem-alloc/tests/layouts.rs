//! The allocator compared with the contract of `GlobalAlloc`, for layouts that proptest makes and shrinks: sizes around
//! every border of small, medium and large blocks, alignments up to sixteen megabytes, and requests of any size.
//!
//! # Safety
//! A block is touched between the call that allocates it and the one that frees it, within its layout, and every call
//! gets that layout.

use hakmem_alloc::Hakmem;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeSet;

const PAGE: usize = 4096;
const SLAB: usize = 64 << 10;

/// A live block: its layout, and what it is filled with.
struct Block {
    at: *mut u8,
    layout: Layout,
    tag: usize,
}

/// Returns the offsets at which contents are written and checked: all of the first and the last page, and one word of
/// each page between.
fn places(size: usize) -> impl Iterator<Item = usize> {
    let head = size.min(PAGE);
    let tail = size.saturating_sub(PAGE).max(head);
    (0..head).chain((head..tail).step_by(PAGE)).chain(tail..size)
}

fn byte(tag: usize, place: usize) -> u8 {
    (tag ^ place ^ (place >> 8) ^ (place >> 16)) as u8
}

/// Checks what holds for every block, whichever function returned it.
fn check_place(at: *mut u8, layout: Layout) {
    assert!(!at.is_null(), "{layout:?}");
    assert!((at as usize).is_multiple_of(layout.align()), "{layout:?} is at {at:?}");
    assert!(Hakmem.usable_size(at) >= layout.size(), "{layout:?} has {} bytes", Hakmem.usable_size(at));
}

impl Block {
    fn new(layout: Layout, zeroed: bool, tag: usize) -> Block {
        // SAFETY: the size is not zero.
        let at = unsafe { if zeroed { Hakmem.alloc_zeroed(layout) } else { Hakmem.alloc(layout) } };
        check_place(at, layout);
        let block = Block { at, layout, tag };
        if zeroed {
            // SAFETY: within the block, which is initialised.
            assert!(places(layout.size()).all(|place| unsafe { at.add(place).read() } == 0), "{layout:?} is not zero");
        }
        block.fill();
        block
    }

    fn fill(&self) {
        for place in places(self.layout.size()) {
            // SAFETY: within the block.
            unsafe { self.at.add(place).write(byte(self.tag, place)) };
        }
    }

    /// Checks the contents that this block and one of `size` bytes have in common.
    fn check(&self, size: usize) {
        let common = self.layout.size();
        // SAFETY: within the block; written when it was filled, in the same places.
        let holds = |place: usize| unsafe { self.at.add(place).read() } == byte(self.tag, place);
        let changed = places(common).find(|place| *place < size && !holds(*place));
        assert_eq!(changed, None, "{:?}, to {size} bytes: the first place that changed", self.layout);
    }

    /// Resizes the block to `size` bytes; false where `realloc` returns null.
    fn resize(&mut self, size: usize, tag: usize) -> bool {
        self.check(usize::MAX);
        // SAFETY: a live block of this layout; the new size rounds up within isize.
        let at = unsafe { Hakmem.realloc(self.at, self.layout, size) };
        if at.is_null() {
            self.check(usize::MAX);
            check_place(self.at, self.layout);
            return false;
        }
        let layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
        check_place(at, layout);
        self.at = at;
        self.check(size);
        (self.layout, self.tag) = (layout, tag);
        self.fill();
        true
    }

    fn free(self) {
        self.check(usize::MAX);
        // SAFETY: a live block of this layout, not used any more.
        unsafe { Hakmem.dealloc(self.at, self.layout) };
    }
}

/// Returns sizes around the borders between size classes, kinds of blocks and numbers of slabs, and between these
/// borders.
fn sizes() -> impl Strategy<Value = usize> {
    let near = |border: usize| border.saturating_sub(3).max(1)..border + 4;
    prop_oneof![
        4 => 1_usize..40,
        4 => 1_usize..1100,
        3 => 1000_usize..40_000,
        3 => (3_u32..=24).prop_flat_map(move |shift| near(1 << shift)),
        2 => (1_usize..=20).prop_flat_map(move |slabs| near(slabs * SLAB)),
        2 => 30_000_usize..1_200_000,
        2 => 900_000_usize..20_000_000,
    ]
}

fn layouts() -> impl Strategy<Value = Layout> {
    let aligns = prop_oneof![3 => 0_u32..=6, 3 => 7_u32..=17, 2 => 18_u32..=24];
    (sizes(), aligns).prop_map(|(size, shift)| Layout::from_size_align(size, 1 << shift).expect("a layout"))
}

#[derive(Clone, Debug)]
enum Op {
    Allocate { layout: Layout, zeroed: bool },
    Resize { which: usize, size: usize },
    Scale { which: usize, eighths: usize },
    Free { which: usize },
}

fn operations() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (layouts(), any::<bool>()).prop_map(|(layout, zeroed)| Op::Allocate { layout, zeroed }),
        4 => (any::<usize>(), sizes()).prop_map(|(which, size)| Op::Resize { which, size }),
        4 => (any::<usize>(), 1_usize..24).prop_map(|(which, eighths)| Op::Scale { which, eighths }),
        2 => any::<usize>().prop_map(|which| Op::Free { which }),
    ]
}

/// Returns sizes and alignments for which no machine, or hardly any, has memory, and many that the address space has no
/// place for.
fn too_much() -> impl Strategy<Value = Layout> {
    let sizes = (36_u32..63, -70_000_isize..70_000);
    let sizes = sizes.prop_map(|(shift, more)| (1_usize << shift).saturating_add_signed(more));
    let sizes = prop_oneof![4 => sizes, 1 => (0_usize..200_000).prop_map(|less| isize::MAX as usize - less)];
    let small_or_large = prop_oneof![2 => sizes.clone(), 1 => self::sizes()];
    let huge_align = (small_or_large, 36_u32..63);
    prop_oneof![(sizes, 0_u32..36), huge_align]
        .prop_filter_map("no layout", |(size, shift)| Layout::from_size_align(size, 1 << shift).ok())
}

/// Checks the result of a request that may well fail: null, or a block that is right at both ends.
fn check_null_or_right(at: *mut u8, layout: Layout, zeroed: bool) {
    if at.is_null() {
        return;
    }
    check_place(at, layout);
    let ends = [at, at.wrapping_add(layout.size() - 1)];
    // Both ends are read before either is written: in a block of one byte they are the same.
    // SAFETY: within the block, which is initialised where it is zeroed.
    assert!(!zeroed || ends.iter().all(|end| unsafe { end.read() } == 0), "{layout:?} at {at:?} is not zero");
    for end in ends {
        // SAFETY: within the block.
        unsafe { end.write(1) };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_keeps_layout_and_contents(operations in prop::collection::vec(operations(), 1..60)) {
        let mut blocks: Vec<Block> = Vec::new();
        for (tag, operation) in operations.into_iter().enumerate() {
            let count = blocks.len();
            match operation {
                Op::Allocate { layout, zeroed } => blocks.push(Block::new(layout, zeroed, tag)),
                Op::Resize { which, size } if count != 0 => prop_assert!(blocks[which % count].resize(size, tag)),
                Op::Scale { which, eighths } if count != 0 => {
                    let block = &mut blocks[which % count];
                    let size = (block.layout.size() * eighths / 8 + 1).min(40 << 20);
                    prop_assert!(block.resize(size, tag));
                }
                Op::Free { which } if count != 0 => blocks.swap_remove(which % count).free(),
                _ => {}
            }
        }
        blocks.into_iter().for_each(Block::free);
    }

    #[test]
    fn a_request_for_too_much_returns_null_or_a_right_block(layout in too_much()) {
        for zeroed in [false, true] {
            // SAFETY: the size is not zero; what comes is freed with its layout.
            unsafe {
                let at = if zeroed { Hakmem.alloc_zeroed(layout) } else { Hakmem.alloc(layout) };
                check_null_or_right(at, layout, zeroed);
                if !at.is_null() {
                    Hakmem.dealloc(at, layout);
                }
            }
        }
    }

    #[test]
    fn a_block_that_cannot_grow_stays_where_it_is(layout in layouts(), too_much in too_much()) {
        let size = too_much.size();
        prop_assume!(Layout::from_size_align(size, layout.align()).is_ok());
        let mut block = Block::new(layout, false, 7);
        // SAFETY: a live block of this layout; the new size rounds up within isize.
        let at = unsafe { Hakmem.realloc(block.at, layout, size) };
        if at.is_null() {
            check_place(block.at, layout);
            prop_assert!(block.resize(layout.size() * 2, 8));
            block.free();
            return Ok(());
        }
        let now = Layout::from_size_align(size, layout.align()).expect("a layout");
        check_place(at, now);
        block.at = at;
        block.check(size);
        // SAFETY: the block is live, as long as its layout says, and freed with it.
        unsafe {
            at.add(size - 1).write(1);
            Hakmem.dealloc(at, now);
        }
    }
}

/// Other blocks lie around these, so that they cannot grow in place.
#[test]
fn over_aligned_blocks_grow_and_shrink() {
    for shift in 12..=23 {
        for start in [100, 60_000, 900_000, 3 << 20] {
            let mut block = Block::new(Layout::from_size_align(start, 1 << shift).expect("a layout"), false, shift);
            let mut around = Vec::new();
            for step in 0..10 {
                let layout = Layout::from_size_align(1_100_000 + step * 70_000, PAGE).expect("a layout");
                around.push(Block::new(layout, false, step));
                let size = block.layout.size();
                assert!(block.resize(if step % 5 == 4 { size / 3 + 1 } else { size * 7 / 4 + 5000 }, shift + step));
            }
            block.free();
            around.into_iter().for_each(Block::free);
        }
    }
}

/// The smallest class is aligned to 8 only; half of its blocks lie at multiples of 16 by chance.
#[test]
fn blocks_that_shrink_below_their_alignment_stay_aligned() {
    for align in [16, 32, 64] {
        let layout = Layout::from_size_align(16 * align, align).expect("a layout");
        let mut blocks: Vec<Block> = (0..50).map(|tag| Block::new(layout, false, tag)).collect();
        for (tag, block) in blocks.iter_mut().enumerate() {
            for size in [align / 2, 1, 8, 100, 3] {
                assert!(block.resize(size, tag));
            }
        }
        blocks.into_iter().for_each(Block::free);
    }
}

#[test]
fn blocks_of_some_pages_aligned_to_their_size_share_slabs() {
    for size in [8 << 10, 16 << 10, 32 << 10] {
        let layout = Layout::from_size_align(size, size).expect("a layout");
        let blocks: Vec<Block> = (0..512).map(|tag| Block::new(layout, tag % 2 == 0, tag)).collect();
        let slabs: BTreeSet<usize> = blocks.iter().map(|block| block.at as usize / SLAB).collect();
        // The slack is for spans that other blocks of these sizes began.
        let fits = 512 * size / SLAB;
        assert!(
            slabs.len() <= fits + 8,
            "{} blocks of {size} bytes take {} slabs, not {fits}",
            blocks.len(),
            slabs.len()
        );
        blocks.into_iter().for_each(Block::free);
    }
}

#[test]
fn used_pages_of_zeroed_blocks_are_cleared() {
    for size in [40, 3000, 20_000, 200_000, 3 << 20] {
        for align in [1, 16, 64, PAGE, 32 << 10, 64 << 10, 2 << 20] {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            for _ in 0..4 {
                // SAFETY: all of the usable size may be touched, and is zero at first.
                unsafe {
                    let block = Hakmem.alloc_zeroed(layout);
                    let bytes = std::slice::from_raw_parts_mut(block, Hakmem.usable_size(block));
                    assert!(bytes.iter().all(|byte| *byte == 0), "{layout:?}");
                    bytes.fill(0xA5);
                    Hakmem.dealloc(block, layout);
                }
            }
        }
    }
}
