//! What slow paths noticed about memory that could go back, until somebody answers it.
//!
//! Whoever notices something sets a bit here, which costs next to nothing, and goes on. The end of a slow path, where no lock is held,
//! takes the bits and has them answered by [`reclaim::answer`](crate::reclaim::answer): in one thread, whichever comes first.

use hakmem_os::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Relaxed},
};

/// A limit was reached: the soft one of this process, or one of the system's.
pub const LIMIT: u32 = 1;
/// More is in use than ever before, so what lies idle had better go back first.
pub const NEW_PEAK: u32 = 2;
/// Some slow paths were taken since somebody looked at the clock last.
pub const TIME: u32 = 4;
/// Much memory fell idle.
pub const IDLE: u32 = 8;
/// A thread ended and left free memory behind.
pub const THREAD_ENDED: u32 = 16;

/// What may be answered where the program's own function must not be called: at the end of a free.
pub const QUIET: u32 = NEW_PEAK | TIME | IDLE | THREAD_ENDED;
/// Everything.
pub const ANY: u32 = QUIET | LIMIT;

static PENDING: AtomicU32 = AtomicU32::new(0);

/// Notes what was noticed.
pub fn note(what: u32) {
    // Bits that are there need no write to a word that all threads share.
    if PENDING.load(Relaxed) & what != what {
        PENDING.fetch_or(what, Relaxed);
    }
}

/// Whether something of `which` waits for an answer: one load.
#[inline]
pub fn is_pending(which: u32) -> bool {
    PENDING.load(Relaxed) & which != 0
}

/// Takes what waits of `which`; of several threads one gets it.
pub fn take(which: u32) -> u32 {
    PENDING.fetch_and(!which, AcqRel) & which
}
