//! The Stats box: the counters of all heaps, added up on demand.
//!
//! It answers for [`Totals`] and the rows, as numbers, as a table and as JSON.
//!
//! - Contract: it reads all counters, changes nothing and allocates nothing. The numbers are exact while no thread is in
//!   the allocator, and nearly exact otherwise.
//! - Callers: the C API, the Rust face, the end of the process.
//!
//! Two equations hold while no thread is in the allocator:
//!
//! ```text
//!   allocations = frees + live                                            in each row
//!   mapped      = live + cached + free + dirty + purged + metadata        in the totals
//! ```
//!
//! The two sides of an equation come from different counters. The census of the `debug` box finds the same numbers by a
//! walk over every slab and list.

mod rows;
mod report;

use crate::backend::{large_cache, slabs};
use crate::base::accounting;
use crate::base::sizes::{BLOCK_SIZE, CLASSES};
use crate::heap;
pub use crate::heap::Big;
use crate::map::metadata;
use hakmem_os::kernel::{Call, calls};
pub use report::{json, table};
pub use rows::{Row, big_row, misses_and_heaps, row};

macro_rules! totals {
    ($($name:ident: $doc:literal,)*) => {
        /// The totals of the process, in the order and layout of `hak_stats_t`.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        #[repr(C)]
        pub struct Totals {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Totals {
            /// Each number: its name, its value and its meaning.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($name), self.$name, $doc),)*].into_iter()
            }
        }
    };
}

totals! {
    allocations: "blocks allocated",
    frees: "blocks freed",
    live_bytes: "bytes of blocks in use, each block at its full size",
    cached_bytes: "bytes of free blocks that threads cache or send to each other",
    free_bytes: "bytes free in spans that have blocks in use, tails and slack included",
    dirty_bytes: "bytes free and resident, waiting for the decay",
    purged_bytes: "bytes free and not resident: purged, or never touched",
    metadata_bytes: "bytes of descriptors, thread heaps and tables",
    mapped_bytes: "bytes mapped: the sum of the six above",
    peak_mapped_bytes: "the most bytes mapped at one time",
    page_map_misses: "pointers looked up that were not blocks of HAKMEM",
    kernel_maps: "calls of mmap",
    kernel_unmaps: "calls of munmap",
    kernel_purges: "calls of madvise that gave pages back",
    kernel_remaps: "calls of mremap",
    kernel_others: "other system calls: futex, advice",
    heaps: "thread heaps made",
    segments: "segments mapped now",
}

/// Computes the totals of the process.
pub fn totals() -> Totals {
    let mut totals = Totals::default();
    for (_, row) in rows() {
        totals.allocations += row.allocations;
        totals.frees += row.frees;
        totals.cached_bytes += row.cached_bytes;
        totals.free_bytes = totals.free_bytes.wrapping_add(row.free_bytes);
        totals.live_bytes = totals.live_bytes.wrapping_add(row.live_bytes);
    }
    let (segments, large) = (slabs::extent(), large_cache::extent());
    totals.dirty_bytes = (segments.dirty + large.kept) as u64;
    let gone = heap::gone_bytes();
    totals.free_bytes = totals.free_bytes.wrapping_sub(gone);
    totals.purged_bytes = (segments.free - segments.dirty) as u64 + gone;
    totals.metadata_bytes = metadata::mapped() as u64;
    totals.mapped_bytes = accounting::mapped() as u64;
    totals.peak_mapped_bytes = accounting::peak() as u64;
    totals.segments = segments.segments as u64;
    (totals.page_map_misses, totals.heaps) = rows::misses_and_heaps();
    totals.kernel_maps = calls(Call::Map) as u64;
    totals.kernel_unmaps = calls(Call::Unmap) as u64;
    totals.kernel_purges = calls(Call::Purge) as u64;
    totals.kernel_remaps = calls(Call::Remap) as u64;
    totals.kernel_others = calls(Call::Other) as u64;
    totals
}

/// The blocks that a row counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowKind {
    /// The blocks of the size class with this block size, in bytes.
    Block(u32),
    /// The medium or the large blocks.
    Big(Big),
}

/// All rows: the size classes in ascending order, then medium blocks, then large blocks.
pub fn rows() -> impl Iterator<Item = (RowKind, Row)> {
    let classes = (0..CLASSES).map(|class| (RowKind::Block(BLOCK_SIZE[class]), row(class)));
    classes.chain([Big::Medium, Big::Large].map(|kind| (RowKind::Big(kind), big_row(kind))))
}

/// The number of large blocks in use, and their bytes.
pub fn live_large() -> (u64, u64) {
    let row = big_row(Big::Large);
    (row.allocations.wrapping_sub(row.frees), row.live_bytes)
}
