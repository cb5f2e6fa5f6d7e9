//! Single instructions of the processor: its clock for measuring, a hint to fetch memory, and a shift.
//!
//! # Safety
//! Every processor of this architecture has these instructions, and none of them can fault.

use core::arch::asm;
use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _rdtsc};

/// Ticks of the time stamp counter. It runs at a constant rate on every processor of the last fifteen years. The processor may
/// read it earlier or later than the instructions around it.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: reads a counter.
    unsafe { _rdtsc() }
}

/// Begins to fetch the cache line at `address`, which need not be mapped.
#[inline(always)]
pub fn prefetch(address: usize) {
    // SAFETY: a hint, which the processor ignores where nothing is mapped.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) }
}

/// `value >> BITS`, hidden from the compiler's optimizations. Where the result is compared with a power of two and then used, the
/// compiler would otherwise shift a second time for the comparison.
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
