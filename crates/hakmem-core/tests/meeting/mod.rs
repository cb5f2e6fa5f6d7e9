//! A barrier of atomics: the thread sanitizer sees how it orders what threads did, also where the standard library was not built
//! for it.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire},
};
use std::thread;

/// Where so many threads meet, once.
pub struct Meeting {
    missing: AtomicUsize,
}

impl Meeting {
    pub fn of(threads: usize) -> Meeting {
        Meeting { missing: AtomicUsize::new(threads) }
    }

    /// Waits until all are there.
    pub fn wait(&self) {
        self.missing.fetch_sub(1, AcqRel);
        while self.missing.load(Acquire) != 0 {
            thread::yield_now();
        }
    }
}
