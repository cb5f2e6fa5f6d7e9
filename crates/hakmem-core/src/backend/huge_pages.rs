//! Huge pages: which memory gets them, and what they cost at present.
//!
//! A huge page is 2 MiB in one piece. It saves 512 page faults, and the processor finds addresses in it faster; but what is resident is
//! all of it, also where the program touches a part.
//!
//! **Which memory.** A process gets huge pages once it is large. Segments that it maps while it is small have small pages, also where
//! the system would give huge ones to everybody. A span that is cut into blocks to its end is touched to its end, so a huge page costs
//! no memory there. It does cost memory in the spans that are being cut at the moment, some for each heap, and in the last segment. Both
//! are bounded by what the process has already: `is_large_for` asks for so many bytes in all, and for so many for each heap.
//!
//! **What they cost.** As a rule a huge page costs a tenth of the faults that it saves. Where the system has to put it together first,
//! or where a virtual machine gets it from its host, it can cost several times as much as they do. So the first touch of each segment
//! that is to have a huge page is timed. After one that took longer than `huge_price` microseconds, the next segments get small pages:
//! two of them, then four, up to 64, until a huge page is cheap again. By default that is a microsecond for each small page, so small
//! pages cost no more than what was paid.
//!
//! # Safety
//! Advice on a range, and the first touch of it, come from whoever owns the range.

use crate::backend::availability;
use crate::base::accounting;
use crate::base::sizes::SEGMENT;
use crate::policy;
use hakmem_os::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use hakmem_os::kernel::kernel;
use hakmem_os::vm;

/// The smallest large block that may get huge pages. Its two ends, at most a huge page each, are little beside it.
const LEAST_BLOCK: usize = 2 * SEGMENT;
/// A purge splits a huge page when this many slabs of it can go back at once. Fewer stay resident: at most a tenth of what is in use
/// in that segment.
pub const SPLIT_FOR: usize = 4;
/// A process gets huge pages when it has `huge_from` bytes in all, and `huge_from / PER_HEAP` for each of its heaps.
const PER_HEAP: usize = 2;
/// At most 2 to the power of this many segments get small pages after a dear huge page.
const LONGEST_WAIT: u32 = 6;

/// Heaps made. Each has spans that are being cut, also while it waits in the pool for a thread.
static HEAPS: AtomicUsize = AtomicUsize::new(0);
/// How many more segments get small pages.
static WAIT: AtomicU32 = AtomicU32::new(0);
/// How many huge pages in a row were dear.
static DEAR_IN_A_ROW: AtomicU32 = AtomicU32::new(0);

/// Notes that a heap was made.
pub fn note_heap() {
    HEAPS.fetch_add(1, Relaxed);
}

/// Heaps made, at least 1.
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

/// Whether a large block of `bytes`, which is about to be mapped, is to get huge pages.
pub fn wanted_for_block(bytes: usize) -> bool {
    bytes >= LEAST_BLOCK && is_large(accounting::mapped() + bytes)
}

/// Asks the system for huge pages in a range, or for none; returns whether the range is to get some.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn advise(at: usize, len: usize, huge: bool) -> bool {
    // SAFETY: the caller's.
    unsafe { vm::make_huge(at, len, huge) && huge }
}

/// Whether huge pages are cheap at present. Where they are not, this counts the `segments` that get small pages instead.
pub fn are_cheap(segments: usize) -> bool {
    let wait = WAIT.load(Relaxed);
    if wait != 0 {
        WAIT.store(wait.saturating_sub(segments.min(u32::MAX as usize) as u32), Relaxed);
    }
    wait == 0
}

/// Touches the first page of a segment that is to get a huge page, and learns from the time that takes.
///
/// # Safety
/// The segment was mapped just now, and nobody else knows of it.
pub unsafe fn touch_and_time(at: usize) {
    let before = (kernel().micros)();
    // SAFETY: the caller's.
    unsafe { vm::touch(at) };
    learn((kernel().micros)().wrapping_sub(before), policy::current().huge_price as u64);
}

fn learn(micros: u64, price: u64) {
    let dear = if price == 0 || micros < price { 0 } else { (DEAR_IN_A_ROW.load(Relaxed) + 1).min(LONGEST_WAIT) };
    DEAR_IN_A_ROW.store(dear, Relaxed);
    if dear != 0 {
        WAIT.store(1 << dear, Relaxed);
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
        assert!(!is_large_for(0, usize::MAX, 1), "0 is never");
    }

    #[test]
    fn after_dear_huge_pages_small_ones_are_used_longer_until_a_huge_one_is_cheap() {
        let waits = || (0..1000).take_while(|_| !are_cheap(1)).count();
        assert_eq!(waits(), 0);
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            learn(500, 500);
            assert_eq!(waits(), expected);
        }
        learn(1000, 500);
        assert!(!are_cheap(60) && !are_cheap(60) && are_cheap(60), "a large block counts for as many");
        learn(499, 500);
        assert!(are_cheap(1));
        learn(500, 500);
        assert_eq!(waits(), 2);
        learn(u64::MAX, 0);
        assert_eq!(waits(), 0, "with a price of 0 every huge page is cheap");
    }
}
