//! The thread-local slot: four words for each thread, by which the fast paths find the heap of the thread. All four are zero
//! until they are written.
//!
//! They are thread-local storage of the initial-exec model, reached by two instructions in a shared library; in an executable the
//! linker replaces the first one by a constant offset. `thread_local!` would call `__tls_get_addr` on each access in a shared
//! library, and register destructors, which allocates.
//!
//! ```text
//!   offset 0    distance   from a static base to the heap of this thread    zeroed by the scavenger
//!   offset 8    heap       the address of that heap                         zeroed by the scavenger
//!   offset 16   state      what the heap stores about this thread           written by this thread only
//!   offset 24   work       how many slow paths of no heap it is in          written by this thread only
//! ```
//!
//! # Safety
//! The assembly accesses only words of its own thread, each by one instruction. The scavenger zeroes the first two words of threads
//! that wait in system calls. So a read must not move across such a call, and none of them is declared `pure`.

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
/// The first word holds the distance from a static base to this thread's heap. A thread without a heap has zero there, and so it
/// finds the static, empty heap at `base` itself: no test is needed.
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
word!(
    heap,
    set_heap,
    "8",
    "the address of this thread's heap; zero without one, or when the heap has to be looked for."
);
word!(state, set_state, "16", "what the heap stores about this thread; zero at first.");
word!(work, set_work, "24", "how many slow paths this thread is in of which no heap tells; zero outside.");

/// Subtracts one from the 32-bit word at `base + distance + OFFSET`, and says whether it became zero. It is one instruction and a
/// jump; from a load, a subtraction and a store of an atomic the compiler makes three, and one more for the address.
///
/// # Safety
/// The word exists, is aligned, and is written by this thread only.
#[inline(always)]
pub unsafe fn count_down<const OFFSET: usize>(base: usize, distance: usize) -> bool {
    // SAFETY: the caller's; other threads may read the word, and see the value before or after, never a mix of both.
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

/// The offset of the third word, in bytes. The two words in front of it take up all of the bytes before it.
pub const STATE: usize = 16;

/// The address of this thread's first word.
pub fn address() -> usize {
    let address;
    // SAFETY: reads the thread pointer, whose own value the ABI has at its beginning; no memory is written.
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
