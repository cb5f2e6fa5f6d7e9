//! The census: says where every byte is, found by a walk over each slab, list and slot.
//!
//! The statistics come from counters that every operation changes. The census uses none of these counters, except for
//! the bytes of large blocks and of metadata, which no list leads to. So if a test finds both equal, the counters are
//! right. The census is exact only while no thread is in the allocator.
//!
//! # Safety
//! Lists run through free blocks, and no other thread changes them during the census.

use crate::backend::large_cache;
use crate::backend::segment::{self, Segment};
use crate::backend::span::next_of;
use crate::base::sizes::{BLOCK_SIZE, CLASSES, SEGMENT, SLAB, SLABS};
use crate::heap::{Heap, class_in, is_small};
use crate::map::metadata;
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::vm::PAGE;

/// The bytes in each place, as in the statistics.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Census {
    /// In blocks in use.
    pub live: u64,
    /// In bins, runs, remote caches, inboxes and medium caches.
    pub cached: u64,
    /// In spans: in listed blocks, not yet carved, in tails and behind medium blocks.
    pub free: u64,
    /// In free slabs that hold old contents, and in mappings of the large cache.
    pub dirty: u64,
    /// In free slabs without contents, and in holes of spans.
    pub purged: u64,
    /// In segments, large mappings and metadata.
    pub mapped: u64,
}

/// Takes the census of the process.
pub fn census() -> Census {
    let mut census = Census::default();
    let mut out = 0;
    for segment in segment::mapped() {
        census.mapped += SEGMENT as u64;
        out += census.add_segment(segment);
    }
    for heap in Heap::all() {
        census.cached += cached_by(heap);
    }
    census.live += out - census.cached;
    let (large, kept) = (large_cache::extent().mapped as u64, large_cache::count_kept() as u64);
    census.live += large - kept;
    census.dirty += kept;
    census.mapped += large + metadata::mapped() as u64;
    census
}

impl Census {
    /// Adds the bytes of `segment`. Returns the bytes of small blocks that are taken from their spans, in use or
    /// cached, and of medium blocks in medium caches.
    fn add_segment(&mut self, segment: &'static Segment) -> u64 {
        let state = segment.state();
        let (mut slab, mut out) = (0, 0);
        while slab < SLABS {
            if state.free & (1 << slab) != 0 {
                let kind = if state.dirty & (1 << slab) != 0 { &mut self.dirty } else { &mut self.purged };
                *kind += SLAB as u64;
                slab += 1;
                continue;
            }
            let span = &segment.spans[slab];
            let whole = (span.slabs() * SLAB) as u64;
            let used = if is_small(page_map::entry(segment.base() + slab * SLAB)) {
                let in_use = span.carved_blocks() as usize - span.list().count() - span.count_away() as usize;
                let bytes = u64::from(BLOCK_SIZE[span.class()]) * in_use as u64;
                let gone = u64::from(span.gone().count_ones()) * PAGE as u64;
                out += bytes;
                self.purged += gone;
                bytes + gone
            } else if page_map::entry(span.base()) == page_map::CACHED {
                // In a medium cache.
                out += whole;
                whole
            } else {
                self.live += span.bytes() as u64;
                span.bytes() as u64
            };
            self.free += whole - used;
            slab += span.slabs();
        }
        out
    }
}

/// The bytes of free blocks that `heap` caches, or that are on their way from it or to it.
fn cached_by(heap: &Heap) -> u64 {
    let lists = heap.bins.iter().map(|bin| bin.head.load(Relaxed));
    let routes = heap.remote_cache.iter().map(|route| route.first.get());
    let listed: u64 = lists.chain(routes).chain([heap.inbox.load(Relaxed)]).map(bytes_listed).sum();
    let runs = (0..CLASSES).map(|class| &heap.lanes[class]).map(|lane| (lane.end.get() - lane.bump.get()) as u64);
    let shelved = heap.medium_cache.blocks().map(|(slabs, _)| (slabs * SLAB) as u64);
    listed + runs.sum::<u64>() + shelved.sum::<u64>()
}

/// The bytes of the blocks of the list that begins at `block`.
fn bytes_listed(mut block: usize) -> u64 {
    let mut bytes = 0;
    while block != 0 {
        bytes += u64::from(BLOCK_SIZE[class_in(page_map::entry(block))]);
        // SAFETY: the block is on a list, so it is a free block of ours.
        block = unsafe { next_of(block) };
    }
    bytes
}
