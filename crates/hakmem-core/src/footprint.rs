//! The footprint: bytes mapped from the system at this moment, and the most there ever were.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Notes `bytes` mapped.
pub fn grow(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

/// Notes `bytes` unmapped.
pub fn shrink(bytes: usize) {
    NOW.fetch_sub(bytes, Relaxed);
}

/// Bytes mapped now. The page map's flat reservation is not counted: it is address space, and memory only where touched.
pub fn now() -> usize {
    NOW.load(Relaxed)
}

/// The most bytes that were mapped at one time.
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}
