//! The counters of all heaps, added up: one row for each size class, one for medium blocks and one for large blocks.

use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SPAN_SLABS, span_bytes};
use crate::heap::{self, Big, Heap};
use core::sync::atomic::Ordering::Relaxed;

/// The counts of one size class, of medium blocks or of large blocks, over all heaps.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Row {
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed, by any thread.
    pub frees: u64,
    /// Allocations served from the list of a bin.
    pub from_list: u64,
    /// Allocations served from a run.
    pub from_bump: u64,
    /// How often an allocation found its bin empty.
    pub refills: u64,
    /// Spans taken from segments.
    pub spans_taken: u64,
    /// Spans released to their segments.
    pub spans_retired: u64,
    /// Blocks sent to the heap of another thread.
    pub remote_sent: u64,
    /// Blocks received from other threads.
    pub remote_received: u64,
    /// Bytes of blocks in use.
    pub live_bytes: u64,
    /// Bytes in bins, in runs, in medium caches, and on the way from one heap to another.
    pub cached_bytes: u64,
    /// Bytes free in spans: blocks, the tails behind the last blocks, and the slack behind medium blocks.
    pub free_bytes: u64,
}

/// The bytes behind the last block of a span of each class.
const TAIL: [u64; CLASSES] = {
    let mut tails = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        tails[class] = (SPAN_SLABS[class] as usize * SLAB % BLOCK_SIZE[class] as usize) as u64;
        class += 1;
    }
    tails
};

/// The counts of `class`. They are exact while no thread is in the allocator.
pub fn row(class: usize) -> Row {
    let mut row = Row::default();
    let block = u64::from(BLOCK_SIZE[class]);
    for heap in Heap::all() {
        let (bin, lane) = (&heap.bins[class], &heap.lanes[class]);
        let pops = u64::from(bin.pops.load(Relaxed));
        let pushes = u64::from(lane.granted.get().wrapping_sub(bin.frees_left.load(Relaxed)));
        let listed = u64::from(lane.held.get()).wrapping_add(pushes).wrapping_sub(pops);
        row.from_list += lane.popped.get() + pops;
        row.from_bump += lane.bumped.get();
        row.frees += lane.pushed.get() + pushes + lane.sent.get();
        row.refills += lane.refills.get();
        row.spans_taken += lane.spans_taken.get();
        row.spans_retired += lane.spans_retired.get();
        row.remote_sent += lane.sent.get();
        row.remote_received += lane.received.get();
        // If the owner runs meanwhile, the two ends may belong to different runs.
        let run = lane.end.get().wrapping_sub(lane.bump.get());
        let run = if run <= span_bytes(class) { run as u64 } else { 0 };
        row.cached_bytes = row.cached_bytes.wrapping_add(listed.wrapping_mul(block)).wrapping_add(run);
        row.free_bytes = row.free_bytes.wrapping_add(lane.spare.get().wrapping_mul(block));
    }
    row.frees = row.frees.wrapping_add(heap::stray_frees(class));
    row.remote_sent = row.remote_sent.wrapping_add(heap::stray_frees(class));
    let travelling = row.remote_sent.saturating_sub(row.remote_received) * block;
    row.cached_bytes = row.cached_bytes.wrapping_add(travelling);
    row.free_bytes += row.spans_taken.saturating_sub(row.spans_retired) * TAIL[class];
    row.allocations = row.from_list + row.from_bump;
    row.live_bytes = row.allocations.wrapping_sub(row.frees).wrapping_mul(block);
    row
}

/// The counts of medium or large blocks.
pub fn big_row(kind: Big) -> Row {
    let mut row = Row::default();
    for tally in Heap::all().map(|heap| &heap.tallies[kind as usize]).chain([heap::stray_tally(kind)]) {
        row.allocations += tally.allocations.get();
        row.frees += tally.frees.get();
        row.live_bytes = row.live_bytes.wrapping_add(tally.bytes.get());
        if kind == Big::Medium {
            row.free_bytes = row.free_bytes.wrapping_add(tally.slack.get());
        }
    }
    if kind == Big::Medium {
        row.cached_bytes = Heap::all().map(|heap| heap.medium_cache.bytes()).sum();
    }
    row
}

/// The number of lookups that found no block of ours, and the number of heaps ever made.
pub fn misses_and_heaps() -> (u64, u64) {
    Heap::all().fold((0, 0), |(misses, heaps), heap| (misses + heap.misses.get(), heaps + 1))
}
