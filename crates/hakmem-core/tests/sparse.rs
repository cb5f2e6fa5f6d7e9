//! A large block that is taken zeroed from what is kept, as tables are that are used here and there: pages that nobody touches stay
//! untouched. One that is written all over is cleared where it is.
//!
//! In a process of its own, since it looks at what is resident.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length.

mod clock;

use hakmem_core::backend::large_cache;
use hakmem_core::backend::purge::Purge;
use hakmem_core::heap;
use hakmem_os::kernel::{Call, calls, replace};
use std::slice;

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// Bytes of memory that is no file's, counted page by page: the sums that the kernel keeps are off by some.
fn resident() -> usize {
    let sums = std::fs::read_to_string("/proc/self/smaps_rollup").expect("this process");
    let line = sums.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Takes a zeroed block, writes a byte every `step` bytes, and frees it. Bytes that are resident more while it is there than before.
fn use_zeroed(size: usize, align: usize, step: usize) -> usize {
    let before = resident();
    let block = heap::allocate_zeroed_aligned(size, align);
    assert!(!block.is_null());
    // SAFETY: the block is that long, and zeroed.
    let bytes = unsafe { slice::from_raw_parts_mut(block, size) };
    for byte in (0..size).step_by(step) {
        assert_eq!(bytes[byte], 0);
        bytes[byte] = 1;
    }
    let more = resident().saturating_sub(before);
    // SAFETY: a live block.
    unsafe { heap::free(block) };
    more
}

/// Takes a block as it is, writes all of it and frees it.
fn use_all(size: usize) {
    let block = heap::allocate(size);
    assert!(!block.is_null());
    // SAFETY: the block is that long.
    unsafe {
        block.write_bytes(7, size);
        heap::free(block);
    }
}

fn is_all_zero(size: usize) {
    let block = heap::allocate_zeroed(size);
    assert!(!block.is_null());
    // SAFETY: the block is that long.
    let bytes = unsafe { slice::from_raw_parts(block, size) };
    assert!(bytes.chunks(PAGE).all(|page| page == [0; PAGE]), "{size} bytes are not zero");
    // SAFETY: a live block.
    unsafe { heap::free(block) };
}

#[test]
fn what_is_kept_is_zeroed_at_the_price_of_what_is_touched() {
    // Nothing goes back by the clock.
    replace(Some(&clock::KERNEL));
    let start = resident();
    for (size, align) in [(64 * MIB, 16), (64 * MIB, 64), (64 * MIB, 4096), (5 * MIB, 16), (1200 << 10, 16)] {
        let maps = calls(Call::Map);
        for round in 0..20 {
            let more = use_zeroed(size, align, size / 20);
            assert!(more < 400 << 10, "{} KiB more for 20 pages of {size} bytes, round {round}", more >> 10);
        }
        assert!(calls(Call::Map) <= maps + 10, "it is kept");
        assert!(resident() < start + MIB, "{} KiB more are resident", resident().saturating_sub(start) >> 10);
        is_all_zero(size);
        large_cache::unmap(Purge::All);

        // Of one that was written all over no page is brought in again.
        use_all(size);
        let purges = calls(Call::Purge);
        for _ in 0..5 {
            use_zeroed(size, align, PAGE);
            is_all_zero(size);
            use_all(size);
        }
        assert_eq!(calls(Call::Purge), purges, "{size} bytes, written all over, are given back");

        // Once it is used sparsely again its pages go.
        use_zeroed(size, align, size / 20);
        use_zeroed(size, align, size / 20);
        assert!(resident() < start + MIB, "{} KiB more are resident", resident().saturating_sub(start) >> 10);
        is_all_zero(size);
        large_cache::unmap(Purge::All);
    }
    replace(None);
}
