//! Single instructions of the processor: its clock, for measuring, and a hint to fetch memory.
//!
//! # Safety
//! Both are instructions that every x86-64 processor has, and neither can fault.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _rdtsc};

/// Ticks of the time stamp counter: of constant rate on every processor of the last fifteen years, not ordered with the
/// instructions around it.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: reads a counter.
    unsafe { _rdtsc() }
}

/// Begins to fetch the cache line at `address`, whatever that is.
#[inline(always)]
pub fn prefetch(address: usize) {
    // SAFETY: a hint, ignored where nothing is mapped.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) }
}
