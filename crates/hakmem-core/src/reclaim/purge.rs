//! Releases free memory: purges free slabs, and unmaps empty segments and mappings of the large cache.

use crate::backend::large_cache;
use crate::backend::purge::Purge;
use crate::backend::slabs;
use crate::base::accounting;

/// Releases `which` free memory. Returns how many bytes of it were resident.
pub fn purge(which: Purge) -> usize {
    let bytes = slabs::purge(which);
    bytes + large_cache::unmap(which.without(bytes))
}

/// Releases all free memory. Returns whether any was released, even if it was only address space.
pub fn purge_everything() -> bool {
    let mapped = accounting::mapped();
    purge(Purge::All) != 0 || accounting::mapped() < mapped
}
