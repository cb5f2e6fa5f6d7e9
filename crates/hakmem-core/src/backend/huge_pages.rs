//! Huge pages: which memory gets them, and whether they are cheap at the moment.
//!
//! A huge page is 2 MiB in one piece. It saves 512 page faults, and the processor translates addresses in it faster;
//! but all of it is resident, even if the program touches only a part.
//!
//! **Which memory.** A process gets huge pages once it is large. Segments that it maps while it is small have small
//! pages, even where the system would give huge ones to every process. A span whose blocks are all carved is touched to
//! its end, so a huge page costs no memory there. It does cost memory in spans that are being carved, of which each
//! heap has some, and in the last segment. Both costs are bounded by what the process has already: `is_large_for`
//! requires a number of bytes in all, and a number for each heap.
//!
//! **What they cost.** Usually a huge page costs a tenth of the faults that it saves. Where the system has to assemble
//! it first, or where a virtual machine gets it from its host, it can cost several times as much as these faults. So
//! the first touch of each segment that is to have a huge page is timed. After one that took longer than `huge_price`
//! microseconds, the next segments get small pages: two of them, then four, up to 64, until a huge page is cheap again.
//! The default price is a microsecond for each small page, so small pages do not cost more than the huge page did.
//!
//! # Safety
//! The owner of a range asks for advice on it, and touches it first.

use crate::backend::availability;
use crate::base::accounting;
use crate::base::sizes::SEGMENT;
use crate::policy;
use hakmem_os::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use hakmem_os::kernel::kernel;
use hakmem_os::vm;

/// The smallest large block that may get huge pages. At most one huge page at each end is not filled by it, which is
/// little beside the block.
const LEAST_BLOCK: usize = 2 * SEGMENT;
/// A purge splits a huge page when it can purge this many slabs of it at once. Fewer slabs stay resident: at most a
/// tenth of what is in use in that segment.
pub const SPLIT_FOR: usize = 4;
/// A process gets huge pages when it has `huge_from` bytes in all, and `huge_from / PER_HEAP` for each of its heaps.
const PER_HEAP: usize = 2;
/// After an expensive huge page, at most 2 to the power of this many segments get small pages.
const MAX_WAIT_SHIFT: u32 = 6;

/// Number of heaps made. Each has spans that are being carved, also while it waits in the pool for a thread.
static HEAPS: AtomicUsize = AtomicUsize::new(0);
/// How many more segments get small pages.
static WAIT: AtomicU32 = AtomicU32::new(0);
/// How many huge pages in a row were expensive.
static EXPENSIVE_IN_A_ROW: AtomicU32 = AtomicU32::new(0);

/// Notes that a heap was made.
pub fn note_heap() {
    HEAPS.fetch_add(1, Relaxed);
}

/// Returns how many heaps were made, at least 1.
pub(super) fn heaps() -> usize {
    HEAPS.load(Relaxed).max(1)
}

/// Whether a process with `mapped` bytes is large enough for huge pages.
fn is_large(mapped: usize) -> bool {
    is_large_for(policy::current().huge_from, mapped, heaps())
}

fn is_large_for(from: usize, mapped: usize, heaps: usize) -> bool {
    from != 0 && mapped >= from && mapped / heaps >= from / PER_HEAP
}

/// Whether the process is large enough for segments with huge pages.
pub fn wanted_for_segments() -> bool {
    is_large(availability::mapped() * SEGMENT)
}

/// Whether a large block of `bytes`, which is about to be mapped, gets huge pages.
pub fn wanted_for_block(bytes: usize) -> bool {
    bytes >= LEAST_BLOCK && is_large(accounting::mapped() + bytes)
}

/// Asks the system for huge pages in a range, or for none. Returns whether the range gets huge pages.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn advise(at: usize, len: usize, huge: bool) -> bool {
    // SAFETY: as this function's `Safety` section says.
    unsafe { vm::make_huge(at, len, huge) && huge }
}

/// Whether huge pages are cheap at the moment. Where they are not, this counts that `segments` more get small pages
/// instead.
pub fn are_cheap(segments: usize) -> bool {
    let wait = WAIT.load(Relaxed);
    if wait != 0 {
        WAIT.store(wait.saturating_sub(segments.min(u32::MAX as usize) as u32), Relaxed);
    }
    wait == 0
}

/// Touches the first page of a segment that is to get a huge page, and learns from the time that this takes.
///
/// # Safety
/// The caller has just mapped the segment, and no other thread knows of it.
pub unsafe fn touch_and_time(at: usize) {
    let before = (kernel().micros)();
    // SAFETY: as this function's `Safety` section says.
    unsafe { vm::touch(at) };
    learn((kernel().micros)().wrapping_sub(before), policy::current().huge_price as u64);
}

fn learn(micros: u64, price: u64) {
    let expensive =
        if price == 0 || micros < price { 0 } else { (EXPENSIVE_IN_A_ROW.load(Relaxed) + 1).min(MAX_WAIT_SHIFT) };
    EXPENSIVE_IN_A_ROW.store(expensive, Relaxed);
    if expensive != 0 {
        WAIT.store(1 << expensive, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_process_is_large_by_its_bytes_and_by_its_bytes_per_heap() {
        let large = |mapped, heaps| is_large_for(128 * MIB, mapped, heaps);
        assert!(!large(128 * MIB - 1, 1) && large(128 * MIB, 1) && large(128 * MIB, 2));
        assert!(!large(128 * MIB, 3) && large(192 * MIB, 3));
        assert!(!is_large_for(0, usize::MAX, 1), "0 means never");
    }

    #[test]
    fn after_expensive_huge_pages_small_ones_are_used_until_a_huge_one_is_cheap() {
        let waits = || (0..1000).take_while(|_| !are_cheap(1)).count();
        assert_eq!(waits(), 0);
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            learn(500, 500);
            assert_eq!(waits(), expected);
        }
        learn(1000, 500);
        assert!(!are_cheap(60) && !are_cheap(60) && are_cheap(60), "a large block counts for as many segments");
        learn(499, 500);
        assert!(are_cheap(1));
        learn(500, 500);
        assert_eq!(waits(), 2);
        learn(u64::MAX, 0);
        assert_eq!(waits(), 0, "with a price of 0 every huge page is cheap");
    }
}
