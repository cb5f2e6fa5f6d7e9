//! Pages: which memory is to get huge pages, and which pages are brought in before they are touched.
//!
//! Huge pages come by growth: what a process maps while it is small gets small pages only, also where the system would give
//! huge ones to everybody, and what it maps when it is large gets huge ones. A span that is cut into blocks to the end is
//! touched to the end, so a huge page costs no memory there; it does for the spans that are being cut at the moment, some for
//! each heap, and for the last segment. Both are bounded by what the process has already.
//!
//! Pages are brought in where fresh slabs are taken to be cut into blocks, which happens only where a process holds more than
//! it ever did, or than it did for some time: as many at once as are little beside what it has.
//!
//! # Safety
//! Who gives advice on a range owns it.

use crate::footprint;
use crate::policy;
use crate::room;
use crate::sizes::{SEGMENT, SLAB};
use hakmem_os::atomic::{AtomicUsize, Ordering::Relaxed};
use hakmem_os::vm;

/// Heaps made: each has spans that it is cutting, also while it waits for a thread.
static HEAPS: AtomicUsize = AtomicUsize::new(0);

/// The smallest large block that may get huge pages: its ends, at most a huge page each, are little beside it.
const HUGE_BLOCK: usize = 2 * SEGMENT;
/// A pass splits a huge page for at least this many slabs; what is less stays, and is at most a tenth of what is in use there.
pub const SPLIT_FOR: usize = 4;
/// The part of `huge_from` that a process has for each of its heaps when it gets huge pages.
const PER_HEAP: usize = 2;
/// What is mapped, divided by this and by the number of heaps, may be brought in at once: some of each span that is being cut
/// is resident early too.
const AHEAD: usize = 256;
/// The least that is brought in at once: a call for less costs what the faults would have cost.
const LEAST_AHEAD: usize = 4 * SLAB;

/// Notes a heap made.
pub fn note_heap() {
    HEAPS.fetch_add(1, Relaxed);
}

fn heaps() -> usize {
    HEAPS.load(Relaxed).max(1)
}

/// Whether a process with `mapped` bytes is large.
fn is_large(mapped: usize) -> bool {
    is_large_for(policy::current().huge_from, mapped, heaps())
}

fn is_large_for(from: usize, mapped: usize, heaps: usize) -> bool {
    from != 0 && mapped >= from && mapped / heaps >= from / PER_HEAP
}

/// Whether segments are to get huge pages now.
pub fn huge_segments() -> bool {
    is_large(room::mapped() * SEGMENT)
}

/// Whether a large block of `bytes`, not mapped yet, is to get huge pages.
pub fn huge_block(bytes: usize) -> bool {
    bytes >= HUGE_BLOCK && is_large(footprint::now() + bytes)
}

/// Asks for huge pages in a range, or for none; returns whether it is to get some.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn advise(at: usize, len: usize, huge: bool) -> bool {
    // SAFETY: the caller's.
    unsafe { vm::make_huge(at, len, huge) && huge }
}

/// How many slabs to bring in at once where segments are being filled; 0 for none.
pub fn ahead() -> usize {
    let most = if vm::populates() { policy::current().populate_bytes } else { 0 };
    batch(room::mapped() * SEGMENT / heaps(), most) / SLAB
}

/// Doubles with what is mapped, from the least that is worth a call; none below that.
fn batch(mapped: usize, most: usize) -> usize {
    let bytes = most.min(mapped / AHEAD);
    if bytes < LEAST_AHEAD { 0 } else { 1 << bytes.ilog2() }
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

    #[test]
    fn a_process_is_large_by_its_bytes_and_by_its_bytes_per_heap() {
        let large = |mapped, heaps| is_large_for(128 * MIB, mapped, heaps);
        assert!(!large(128 * MIB - 1, 1) && large(128 * MIB, 1) && large(128 * MIB, 2));
        assert!(!large(128 * MIB, 3) && large(192 * MIB, 3));
        assert!(!is_large_for(0, usize::MAX, 1), "0 is never");
    }
}
