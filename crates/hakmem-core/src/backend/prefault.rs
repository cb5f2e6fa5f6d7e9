//! How many slabs one system call makes resident before they are touched.
//!
//! Fresh slabs are claimed for small blocks only where a process holds more than it ever did, or more than it did for
//! some time. It will touch them soon, so one call for many pages costs less than a page fault for each. The number
//! grows with what the process has, so that it stays small in comparison.

use crate::backend::availability;
use crate::backend::huge_pages;
use crate::base::sizes::{SEGMENT, SLAB};
use crate::policy;
use hakmem_os::vm;

/// What is mapped, divided by this and by the number of heaps, is the most for one call: each heap has spans that are
/// resident before they are used.
const MAPPED_PER_CALL: usize = 256;
/// The least for one call. A call for less costs as much as the page faults that it saves.
const LEAST: usize = 4 * SLAB;

/// Returns how many slabs to make resident at once where a segment is being filled; 0 for none.
pub fn slabs() -> usize {
    let most = if vm::populates() { policy::current().populate_bytes } else { 0 };
    batch(availability::mapped() * SEGMENT / huge_pages::heaps(), most) / SLAB
}

/// Returns the bytes for one call: a power of two that grows with what is mapped, or 0 where that would be less than
/// [`LEAST`].
fn batch(mapped: usize, most: usize) -> usize {
    let bytes = most.min(mapped / MAPPED_PER_CALL);
    if bytes < LEAST { 0 } else { 1 << bytes.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn batches_begin_late_and_double_up_to_their_bound() {
        let most = 512 << 10;
        assert_eq!(batch(0, most), 0);
        assert_eq!(batch(64 * MIB - 1, most), 0);
        assert_eq!(batch(64 * MIB, most), 256 << 10);
        assert_eq!(batch(127 * MIB, most), 256 << 10);
        assert_eq!(batch(128 * MIB, most), most);
        assert_eq!(batch(1024 * MIB, most), most);
        assert_eq!(batch(1024 * MIB, 300 << 10), 256 << 10);
        assert_eq!(batch(1024 * MIB, 0), 0);
    }
}
