//! What the tests share: the statistics held against a walk over the whole heap.

use hakmem_core::base::accounting;
use hakmem_core::debug::{Census, census};
use hakmem_core::stats::totals;

/// Panics unless the counters, the census and the identity of the seven quantities agree to the byte. No thread may be in the
/// allocator.
pub fn check_books() {
    let totals = totals();
    let counted = Census {
        live: totals.live_bytes,
        cached: totals.cached_bytes,
        free: totals.free_bytes,
        dirty: totals.dirty_bytes,
        purged: totals.purged_bytes,
        mapped: totals.mapped_bytes,
    };
    let found = census();
    assert_eq!(counted, found, "the counters on the left, the census on the right");
    let parts = found.live + found.cached + found.free + found.dirty + found.purged + totals.metadata_bytes;
    assert_eq!(found.mapped, parts, "mapped is the sum of its parts: {found:?}");
    assert_eq!(accounting::used() as u64, found.mapped - found.purged, "what limits are compared with");
}
