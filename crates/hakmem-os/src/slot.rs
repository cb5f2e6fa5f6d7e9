//! The thread-local slot: a few words of initial-exec TLS, the same on every thread all zero until written.
//!
//! `thread_local!` in a shared library calls `__tls_get_addr` on each access and registers destructors that allocate. These
//! words are reached by two instructions in a shared library, and the linker turns them into a constant offset in an
//! executable.
//!
//! # Safety
//! The assembly reads and writes this thread's own words only, each by one instruction. The scavenger zeroes the first two words of
//! threads that wait in system calls. So a read must not be moved across such a call: it is not declared pure.

use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .tbss.hakmem_slot,\"awT\",@nobits",
    ".globl hakmem_slot",
    ".hidden hakmem_slot",
    ".type hakmem_slot,@object",
    ".size hakmem_slot,32",
    ".balign 8",
    "hakmem_slot: .zero 32",
    ".popsection",
);

/// `base` plus the first word, in one addition.
///
/// The first word holds the distance from a static base to this thread's heap: a thread without a heap has zero there, and
/// so finds the static, empty heap at `base` itself without a test.
#[inline(always)]
pub fn add_distance(base: usize) -> usize {
    let sum;
    // SAFETY: reads this thread's first slot word; no memory is written.
    unsafe {
        asm!(
            "mov {at}, qword ptr [rip + hakmem_slot@GOTTPOFF]",
            "add {sum}, qword ptr fs:[{at}]",
            at = out(reg) _,
            sum = inlateout(reg) base => sum,
            options(readonly, nostack),
        );
    }
    sum
}

macro_rules! word {
    ($get:ident, $set:ident, $offset:literal, $doc:literal) => {
        #[doc = concat!("Reads ", $doc)]
        #[inline(always)]
        pub fn $get() -> usize {
            let value;
            // SAFETY: reads one of this thread's slot words; no memory is written.
            unsafe {
                asm!(
                    "mov {value}, qword ptr [rip + hakmem_slot@GOTTPOFF]",
                    concat!("mov {value}, qword ptr fs:[{value} + ", $offset, "]"),
                    value = out(reg) value,
                    options(readonly, nostack, preserves_flags),
                );
            }
            value
        }

        #[doc = concat!("Writes ", $doc)]
        #[inline]
        pub fn $set(value: usize) {
            // SAFETY: writes one of this thread's slot words, which nothing else refers to.
            unsafe {
                asm!(
                    "mov {at}, qword ptr [rip + hakmem_slot@GOTTPOFF]",
                    concat!("mov qword ptr fs:[{at} + ", $offset, "], {value}"),
                    at = out(reg) _,
                    value = in(reg) value,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

word!(distance, set_distance, "0", "the distance from the static base to this thread's heap; zero without one.");
word!(heap, set_heap, "8", "the address of this thread's heap; zero without one, or when it must be looked for.");
word!(state, set_state, "16", "what the heap keeps for itself about this thread; zero at first.");
word!(work, set_work, "24", "how many slow paths this thread is in of which no heap tells; zero outside.");

/// Subtracts one from the 32-bit word at `base + distance + OFFSET`, and says whether it became zero: one instruction and
/// the jump. The compiler makes three of the same in atomics, and computes the address apart.
///
/// # Safety
/// There is such a word, aligned, which lives and which only this thread writes.
#[inline(always)]
pub unsafe fn count_down<const OFFSET: usize>(base: usize, distance: usize) -> bool {
    // SAFETY: the caller's; a plain 32-bit store, which other threads may see early or late but never torn.
    unsafe {
        asm!(
            "dec dword ptr [{base} + {distance} + {offset}]",
            "je {zero}",
            base = in(reg) base,
            distance = in(reg) distance,
            offset = const OFFSET,
            zero = label { return true },
            options(nostack),
        );
    }
    false
}

/// How many bytes behind the first word the state lies.
pub const STATE: usize = 16;

/// The address of this thread's first word.
pub fn address() -> usize {
    let address;
    // SAFETY: reads the thread's pointer to itself, which the ABI keeps at its beginning; no memory is written.
    unsafe {
        asm!(
            "mov {address}, qword ptr fs:[0]",
            "add {address}, qword ptr [rip + hakmem_slot@GOTTPOFF]",
            address = out(reg) address,
            options(pure, readonly, nostack),
        );
    }
    address
}
