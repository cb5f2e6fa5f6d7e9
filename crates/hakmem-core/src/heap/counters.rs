//! What heaps count of medium and large blocks, and what is counted for threads without a heap.

use super::layout::{Big, Heap, Tally};
use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB};
use crate::base::sync::Counter;
use hakmem_os::atomic::{AtomicU64, Ordering::Relaxed};
use hakmem_os::vm::PAGE;

/// Bytes left over in the last slab of a block of whole slabs.
fn slack(bytes: usize) -> u64 {
    (bytes.next_multiple_of(SLAB) - bytes) as u64
}

impl Tally {
    pub(super) const fn new() -> Tally {
        Tally { allocations: Counter::new(), frees: Counter::new(), bytes: Counter::new(), slack: Counter::new() }
    }

    /// Adds another one's counts, as any of many threads.
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

/// Takes back a free that another thread counted, and that was none.
pub(super) fn count_no_free(class: usize) {
    STRAY_FREES[class].fetch_sub(1, Relaxed);
}

/// Frees by threads without a heap, less those that turned out to be none.
pub(crate) fn stray_frees(class: usize) -> u64 {
    STRAY_FREES[class].load(Relaxed)
}

static STRAY_TALLIES: [Tally; 2] = [const { Tally::new() }; 2];

/// Medium or large blocks of threads without a heap.
pub(crate) fn stray_tally(kind: Big) -> &'static Tally {
    &STRAY_TALLIES[kind as usize]
}

/// Lets `count` count in this thread's tally, or in that of all threads without a heap: there may be no memory for one.
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

/// Bytes in the program's hands. Exact when no thread is in the allocator.
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

/// Bytes of pages between blocks in use that went back to the system. The free bytes of rows count them too.
pub(crate) fn gone_bytes() -> u64 {
    Heap::all().map(|heap| heap.gone.get()).sum::<u64>() * PAGE as u64
}
