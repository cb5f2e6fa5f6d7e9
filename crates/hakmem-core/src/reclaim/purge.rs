//! Gives free memory back: the pages of free slabs, segments that are free as a whole, and mappings of the large cache.

use crate::backend::large_cache;
use crate::backend::purge::Purge;
use crate::backend::slabs;
use crate::base::accounting;

/// Gives back `which` free memory; how many bytes of it were resident.
pub fn purge(which: Purge) -> usize {
    let bytes = slabs::purge(which);
    bytes + large_cache::unmap(which.without(bytes))
}

/// Gives all free memory back; whether there was any, be it address space alone.
pub fn everything() -> bool {
    let mapped = accounting::mapped();
    purge(Purge::All) != 0 || accounting::mapped() < mapped
}
