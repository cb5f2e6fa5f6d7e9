//! A barrier made of atomics, whose synchronisation the thread sanitizer sees even where the standard library was not
//! built for it.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire},
};
use std::thread;

/// A barrier for a number of threads, to be used once.
pub struct Barrier {
    missing: AtomicUsize,
}

impl Barrier {
    pub fn of(threads: usize) -> Barrier {
        Barrier { missing: AtomicUsize::new(threads) }
    }

    /// Waits until all threads are there.
    pub fn wait(&self) {
        self.missing.fetch_sub(1, AcqRel);
        while self.missing.load(Acquire) != 0 {
            thread::yield_now();
        }
    }
}
