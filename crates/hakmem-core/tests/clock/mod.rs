//! The real kernel with a clock that the test advances.
//!
//! # Safety
//! Every call is passed on with the caller's obligations.

use hakmem_os::kernel::{Kernel, real};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static TIME: AtomicUsize = AtomicUsize::new(0);

/// Advances the clock by `ms` milliseconds.
#[allow(dead_code, reason = "some tests only stop the clock")]
pub fn turn(ms: usize) {
    TIME.fetch_add(ms, Relaxed);
}

/// The kernel table, for `replace`.
pub static KERNEL: Kernel = Kernel {
    map: |hint, len, lazy| (real().map)(hint, len, lazy),
    // SAFETY: the caller's obligations are those of the real call.
    unmap: |at, len| unsafe { (real().unmap)(at, len) },
    // SAFETY: the caller's obligations are those of the real call.
    purge: |at, len| unsafe { (real().purge)(at, len) },
    // SAFETY: the caller's obligations are those of the real call.
    remap: |at, old, new, to| unsafe { (real().remap)(at, old, new, to) },
    // SAFETY: the caller's obligations are those of the real call.
    advise: |at, len, advice| unsafe { (real().advise)(at, len, advice) },
    now: || TIME.load(Relaxed) as u64,
    micros: || (real().micros)(),
};
