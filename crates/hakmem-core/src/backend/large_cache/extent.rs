//! How many bytes are mapped for large blocks, how many of these are cached, and how many were in use at most.

use crate::base::accounting;
use hakmem_os::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// Bytes of all mappings that have a descriptor.
pub(super) static LARGE_MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the mappings that are cached or that the kernel refused to unmap.
pub(super) static CACHED_BYTES: AtomicUsize = AtomicUsize::new(0);
/// The most bytes that were in use at one time. Each purge pass lowers it.
pub(super) static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What large blocks hold, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Extent {
    /// All that is mapped.
    pub mapped: usize,
    /// The part of it that is cached, or that the kernel refused to unmap.
    pub cached: usize,
}

/// Returns what large blocks hold.
pub fn extent() -> Extent {
    // `SeqCst` pairs with the change in `slots::put_in_slot`: the scavenger announces that it sleeps, then reads this sum.
    Extent { mapped: LARGE_MAPPED_BYTES.load(Relaxed), cached: CACHED_BYTES.load(SeqCst) }
}

/// Returns the bytes that the program has as blocks.
pub(super) fn live() -> usize {
    LARGE_MAPPED_BYTES.load(Relaxed).saturating_sub(CACHED_BYTES.load(Relaxed))
}

/// Notes that a block became live.
pub fn note_live() {
    PEAK.fetch_max(live(), Relaxed);
}

/// Notes that `bytes` were mapped. The caller has charged them already.
pub fn note_mapped(bytes: usize) {
    LARGE_MAPPED_BYTES.fetch_add(bytes, Relaxed);
    accounting::add_mapped(bytes);
}

/// Notes that `bytes` were unmapped, and uncharges them.
pub(super) fn note_unmapped(bytes: usize) {
    LARGE_MAPPED_BYTES.fetch_sub(bytes, Relaxed);
    accounting::sub_mapped(bytes);
    accounting::uncharge(bytes);
}
