//! The price of huge pages: what it took to touch the last one, and whether more are asked for.
//!
//! A huge page saves 512 faults, and a large heap is searched faster with it. As a rule it costs a tenth of these faults. Where the
//! system has to put it together first, or a virtual machine gets it from its host, it can cost several times as much as they do.
//! So the first touch of each segment that is to have one is timed. After a dear one, by `huge_price`, some segments get small pages,
//! twice as many each time, until one is cheap again. As it is by default, a microsecond for each page, small ones cost no more.
//!
//! # Safety
//! What is touched was mapped just now, by whoever asks for it to be.

use crate::policy;
use hakmem_os::atomic::{AtomicU32, Ordering::Relaxed};
use hakmem_os::kernel::kernel;
use hakmem_os::vm;

/// Most segments that get small pages after a dear one, as a power of two.
const LONGEST: u32 = 6;

/// Segments that still get small pages.
static WAIT: AtomicU32 = AtomicU32::new(0);
/// How many were dear in a row.
static DEAR_ONES: AtomicU32 = AtomicU32::new(0);

/// Whether huge pages are asked for, for this many segments' worth of memory. Counts it where they are not.
pub fn is_fair(segments: usize) -> bool {
    let wait = WAIT.load(Relaxed);
    if wait != 0 {
        WAIT.store(wait.saturating_sub(segments.min(u32::MAX as usize) as u32), Relaxed);
    }
    wait == 0
}

/// Touches a segment's first page, which whoever mapped it is about to use, and learns what that took.
///
/// # Safety
/// Mapped, zero, and known to nobody else.
pub unsafe fn pay(at: usize) {
    let before = (kernel().micros)();
    // SAFETY: the caller's.
    unsafe { vm::touch(at) };
    learn((kernel().micros)().wrapping_sub(before), policy::current().huge_price as u64);
}

fn learn(micros: u64, price: u64) {
    let dear = if price == 0 || micros < price { 0 } else { (DEAR_ONES.load(Relaxed) + 1).min(LONGEST) };
    DEAR_ONES.store(dear, Relaxed);
    if dear != 0 {
        WAIT.store(1 << dear, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_dear_ones_it_waits_longer_and_a_cheap_one_ends_that() {
        let waits = || (0..1000).take_while(|_| !is_fair(1)).count();
        assert_eq!(waits(), 0);
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            learn(500, 500);
            assert_eq!(waits(), expected);
        }
        learn(1000, 500);
        assert!(!is_fair(60) && !is_fair(60) && is_fair(60), "a large block counts for as many");
        learn(499, 500);
        assert!(is_fair(1));
        learn(500, 500);
        assert_eq!(waits(), 2);
        learn(u64::MAX, 0);
        assert_eq!(waits(), 0, "whatever it costs");
    }
}
