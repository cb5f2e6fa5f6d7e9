//! The processor's own clock, for measuring single calls.
//!
//! # Safety
//! One instruction that every x86-64 processor has.

use core::arch::x86_64::_rdtsc;

/// Ticks of the time stamp counter: of constant rate on every processor of the last fifteen years, not ordered with the
/// instructions around it.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: reads a counter.
    unsafe { _rdtsc() }
}
