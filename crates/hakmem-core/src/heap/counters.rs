//! Counters of medium and large blocks, and of frees by threads without a heap.

use super::layout::{Big, Heap, Tally};
use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB};
use crate::base::sync::Counter;
use hakmem_os::atomic::{AtomicU64, Ordering::Relaxed};
use hakmem_os::vm::PAGE;

/// Returns the unused bytes in the last slab of a block of `bytes`.
fn slack(bytes: usize) -> u64 {
    (bytes.next_multiple_of(SLAB) - bytes) as u64
}

impl Tally {
    pub(super) const fn new() -> Tally {
        Tally { allocations: Counter::new(), frees: Counter::new(), bytes: Counter::new(), slack: Counter::new() }
    }

    /// Adds the counts of `change` to a tally that many threads share.
    fn add_shared(&self, change: &Tally) {
        self.allocations.add_shared(change.allocations.get());
        self.frees.add_shared(change.frees.get());
        self.bytes.add_shared(change.bytes.get());
        self.slack.add_shared(change.slack.get());
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
        self.slack.add(slack(bytes));
    }

    pub(super) fn sub_bytes(&self, bytes: usize) {
        self.bytes.sub(bytes as u64);
        self.slack.sub(slack(bytes));
    }
}

static STRAY_FREES: [AtomicU64; CLASSES] = [const { AtomicU64::new(0) }; CLASSES];

/// Counts a free by a thread without a heap.
pub(super) fn count_stray_free(class: usize) {
    STRAY_FREES[class].fetch_add(1, Relaxed);
}

/// Uncounts a free that another thread counted, and that the receiver found to be misuse.
pub(super) fn uncount_stray_free(class: usize) {
    STRAY_FREES[class].fetch_sub(1, Relaxed);
}

/// Returns the number of frees by threads without a heap, minus those that turned out to be misuse.
pub(crate) fn stray_frees(class: usize) -> u64 {
    STRAY_FREES[class].load(Relaxed)
}

static STRAY_TALLIES: [Tally; 2] = [const { Tally::new() }; 2];

/// Returns the tally of medium or of large blocks for all threads without a heap.
pub(crate) fn stray_tally(kind: Big) -> &'static Tally {
    &STRAY_TALLIES[kind as usize]
}

/// Calls `count` with the tally of this thread's heap, or with the tally for all threads without a heap, which a thread
/// can be because there is no memory for a heap.
pub(super) fn tally(heap: Option<&Heap>, kind: Big, count: impl FnOnce(&Tally)) {
    match heap {
        Some(heap) => count(&heap.tallies[kind as usize]),
        None => {
            let change = Tally::new();
            count(&change);
            stray_tally(kind).add_shared(&change);
        }
    }
}

/// Returns the bytes that the program uses. Exact while no thread is in the allocator.
pub(super) fn live_bytes() -> usize {
    let of_class = |heap: &Heap, class: usize| {
        let (bin, lane) = (&heap.bins[class], &heap.lanes[class]);
        let pops = u64::from(bin.pops.load(Relaxed));
        let pushes = u64::from(lane.granted.get().wrapping_sub(bin.frees_left.load(Relaxed)));
        let allocated = lane.popped.get() + pops + lane.bumped.get();
        let freed = lane.pushed.get() + pushes + lane.sent.get();
        allocated.wrapping_sub(freed).wrapping_mul(u64::from(BLOCK_SIZE[class]))
    };
    let small = Heap::all().flat_map(|heap| (0..CLASSES).map(move |class| of_class(heap, class)));
    let stray = (0..CLASSES).map(|class| (stray_frees(class) * u64::from(BLOCK_SIZE[class])).wrapping_neg());
    let tallies = Heap::all().map(|heap| &heap.tallies).chain([&STRAY_TALLIES]).flatten();
    let big = tallies.map(|tally| tally.bytes.get());
    small.chain(stray).chain(big).fold(0, u64::wrapping_add) as usize
}

/// Returns the bytes of pages in holes, which went back to the system. The free bytes of the statistics' rows include
/// them.
pub(crate) fn hole_bytes() -> u64 {
    Heap::all().map(|heap| heap.pages_in_holes.get()).sum::<u64>() * PAGE as u64
}
