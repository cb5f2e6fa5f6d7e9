//! The real kernel with a clock that is turned by hand, so that a pass of the decay is made when the scenario says so.
//!
//! # Safety
//! Calls are passed on with the caller's obligations.

use hakmem_os::kernel::{Kernel, real, replace};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static TIME: AtomicUsize = AtomicUsize::new(1);

/// Lets so many milliseconds pass.
pub fn turn(ms: usize) {
    TIME.fetch_add(ms, Relaxed);
}

/// Puts the clock in force.
pub fn start() {
    replace(Some(&KERNEL));
}

static KERNEL: Kernel = Kernel {
    map: |hint, len, lazy| (real().map)(hint, len, lazy),
    // SAFETY: the caller's.
    unmap: |at, len| unsafe { (real().unmap)(at, len) },
    // SAFETY: the caller's.
    purge: |at, len| unsafe { (real().purge)(at, len) },
    // SAFETY: the caller's.
    remap: |at, old, new, to| unsafe { (real().remap)(at, old, new, to) },
    // SAFETY: the caller's.
    advise: |at, len, advice| unsafe { (real().advise)(at, len, advice) },
    now: || TIME.load(Relaxed) as u64,
    micros: || (real().micros)(),
};
