//! STATS box: the counters of all heaps, folded on demand.
//!
//! Answers for: [`Totals`] and the rows, as numbers, as a table, as JSON. Contract: reads everything, changes nothing,
//! allocates nothing. Exact while no thread is in the allocator, nearly so otherwise.
//! Called by: the C API, the Rust face, the end of the process. Observable: it is what is observed.
//!
//! Two equations hold at rest: for each row `allocations = frees + live`, and for the whole
//! `mapped = live + cached + free + dirty + purged + metadata`. No number is computed from the others: each has counters of its
//! own, and [`heap::census`] finds the same by looking at every slab and list.

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
        /// The overall numbers, in the order and layout of `hak_stats_t`.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        #[repr(C)]
        pub struct Totals {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Totals {
            /// Every number with its name and meaning.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($name), self.$name, $doc),)*].into_iter()
            }
        }
    };
}

totals! {
    allocations: "blocks allocated",
    frees: "blocks freed",
    live_bytes: "bytes in the program's hands, each block at its full size",
    cached_bytes: "bytes of free blocks that threads keep at hand or hand to each other",
    free_bytes: "bytes free inside spans that are in use, tails and slack included",
    dirty_bytes: "bytes free and resident, waiting for the decay",
    purged_bytes: "bytes free and not resident: given back, or never touched",
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

/// The overall numbers.
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
    totals.mapped_bytes = accounting::now() as u64;
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

/// What a row counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Blocks of this many bytes.
    Block(u32),
    /// Medium or large blocks.
    Big(Big),
}

/// Every row: the size classes in order, then medium and large blocks.
pub fn rows() -> impl Iterator<Item = (What, Row)> {
    let classes = (0..CLASSES).map(|class| (What::Block(BLOCK_SIZE[class]), row(class)));
    classes.chain([Big::Medium, Big::Large].map(|kind| (What::Big(kind), big_row(kind))))
}

/// Large blocks in the program's hands: how many, and their bytes.
pub fn live_large() -> (u64, u64) {
    let row = big_row(Big::Large);
    (row.allocations.wrapping_sub(row.frees), row.live_bytes)
}
