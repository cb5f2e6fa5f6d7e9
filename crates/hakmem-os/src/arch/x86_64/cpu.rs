//! Single instructions of the processor: its clock, for measuring, a hint to fetch memory, and a shift.
//!
//! # Safety
//! All are instructions that every x86-64 processor has, and none can fault.

use core::arch::asm;
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

/// `value >> BITS`, by an instruction that the compiler does not look into. Where the result is compared with a power of two and
/// then used, it would shift a second time for the comparison.
#[inline(always)]
pub fn shift_right<const BITS: u32>(value: usize) -> usize {
    let shifted;
    // SAFETY: registers only.
    unsafe {
        asm!(
            "shr {value}, {bits}",
            value = inlateout(reg) value => shifted,
            bits = const BITS,
            options(pure, nomem, nostack),
        );
    }
    shifted
}
