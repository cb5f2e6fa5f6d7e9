//! The demand word: bits in which slow paths note that memory could go back to the system.
//!
//! A slow path that notices such memory sets a bit, which costs next to nothing, and goes on. The first thread that
//! reaches the end of a slow path, where it holds no lock, takes the bits and passes them to
//! [`reclaim::answer`](crate::reclaim::answer).

use hakmem_os::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Relaxed},
};

/// A limit was reached: the soft limit of this process, or a limit of the system.
pub const LIMIT: u32 = 1;
/// More memory is in use than ever before: idle memory should go back before the peak grows further.
pub const NEW_PEAK: u32 = 2;
/// Several slow paths ran since the clock was last read: the next pass may be due.
pub const TIME: u32 = 4;
/// Much memory became free at once.
pub const EXCESS: u32 = 8;
/// A thread ended and left free memory in its heap.
pub const THREAD_ENDED: u32 = 16;

/// The bits that may be answered at the end of a free, where the program's own function must not be called.
pub const QUIET: u32 = NEW_PEAK | TIME | EXCESS | THREAD_ENDED;
/// All bits.
pub const ANY: u32 = QUIET | LIMIT;

static PENDING: AtomicU32 = AtomicU32::new(0);

/// Sets `bits`.
pub fn note(bits: u32) {
    // If the bits are set already, the word that all threads share need not be written.
    if PENDING.load(Relaxed) & bits != bits {
        PENDING.fetch_or(bits, Relaxed);
    }
}

/// Whether a bit of `which` is set. It costs one load.
#[inline]
pub fn is_pending(which: u32) -> bool {
    PENDING.load(Relaxed) & which != 0
}

/// Clears the bits of `which`, and returns those that were set. If several threads call it at once, one of them gets
/// each bit.
pub fn take(which: u32) -> u32 {
    PENDING.fetch_and(!which, AcqRel) & which
}
