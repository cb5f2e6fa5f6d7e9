//! The cache budget: how much memory a heap may cache, in spans that it has bought.
//!
//! One free block in a bin keeps its whole span from other use. So the budget counts spans. A class that has bought all
//! its spans keeps its cached blocks. A class with more spans than it has bought flushes all cached blocks once the
//! program uses no block of the class. While the program uses some, their spans stay in use in any case.
//!
//! All heaps together may buy `cache_total` bytes, and each heap at most its own limit. The limit starts small, doubles
//! when the heap has missed flushed blocks often enough, and ends at an equal share for all heaps. A heap that misses
//! blocks at that limit sells everything and buys again, so that the classes in use get the spans. A heap sells
//! everything when its thread idles or ends.
//!
//! ```text
//!   sum over heaps of bought  =  BOUGHT  <=  cache_total  (the value when the last span was bought)
//!   sum over classes of (spans bought * bytes of one)  <=  bought
//! ```
//!
//! For example: `cache_total` is 64 MiB and 16 threads own heaps, so the share is 4 MiB. A heap may first buy a quarter
//! of it, 1 MiB. After 256 misses it may buy 2 MiB, after 256 more 4 MiB.
//!
//! All functions are called by the owner of the heap, or by the thread that acts as the owner.

use super::layout::{Budget, Heap};
use super::registry;
use crate::base::sizes::{BLOCK_SIZE, SLAB, SPAN_BLOCKS, span_bytes};
use crate::policy;
use hakmem_os::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that all heaps have bought.
static BOUGHT: AtomicUsize = AtomicUsize::new(0);

/// Cost after which a heap may buy twice as much, or sells everything and buys again. The cost is [`MISS_COST`] when a
/// class needs blocks that it flushed because its spans were not bought, some hundred instructions; and 1 when a bin is
/// settled early for the same reason.
const COST_TO_GROW: u32 = 1024;
pub(super) const MISS_COST: u32 = 4;

/// Returns the first and the last limit of a heap, in bytes. The last is an equal share of `cache_total`, the first a
/// quarter of that: a small part of the total where many threads exist, most of which usually wait, and a large part
/// where only one exists. Both are at least one slab.
fn bounds() -> (usize, usize) {
    let heaps = registry::owned().max(1);
    let share = policy::current().cache_total / heaps;
    ((share / 4).max(SLAB), share.max(SLAB))
}

/// Returns the bytes that all heaps have bought.
pub(crate) fn bought_by_all() -> usize {
    BOUGHT.load(Relaxed)
}

/// Sums up [`BOUGHT`] again in a child process: a thread of the parent may have been about to change it.
pub(super) fn after_fork_in_child() {
    BOUGHT.store(Heap::all().map(|heap| heap.budget.bought.get()).sum(), Relaxed);
}

impl Budget {
    /// Sells everything, in a child process, for a heap that no thread uses again.
    pub(super) fn forget(&self) {
        BOUGHT.fetch_sub(self.bought.replace(0), Relaxed);
    }
}

impl Heap {
    /// Buys the right to keep `bytes` more; false where the limit of the heap or that of the process does not allow it.
    pub(super) fn buy(&self, bytes: usize) -> bool {
        let own = &self.budget;
        let bought = own.bought.get() + bytes;
        if bought > own.limit.get() {
            return false;
        }
        let total = policy::current().cache_total;
        let more = |all: usize| (all + bytes <= total).then_some(all + bytes);
        let granted = BOUGHT.fetch_update(Relaxed, Relaxed, more).is_ok();
        if granted {
            own.bought.set(bought);
        }
        granted
    }

    /// Sells the spans of `class`. The caller flushes the blocks that they kept cached.
    pub(super) fn sell(&self, class: usize) {
        let bytes = usize::from(self.lanes[class].bought.replace(0)) * span_bytes(class);
        self.budget.bought.set(self.budget.bought.get() - bytes);
        BOUGHT.fetch_sub(bytes, Relaxed);
    }

    /// Sells the spans of all classes. The caller flushes the blocks that they kept cached.
    pub(super) fn sell_all(&self) {
        self.lanes.iter().for_each(|lane| lane.bought.set(0));
        BOUGHT.fetch_sub(self.budget.bought.replace(0), Relaxed);
    }

    /// Returns the bytes that this heap has bought.
    pub(crate) fn bought(&self) -> usize {
        self.budget.bought.get()
    }

    /// Sets the limit to the first one, for a thread that starts or idles.
    pub(crate) fn reset_budget(&self) {
        self.budget.limit.set(bounds().0);
    }

    /// Lowers the limit to this heap's share, which shrinks with each new thread. Returns whether the heap has bought
    /// more than its share.
    pub(super) fn limit_to_share(&self) -> bool {
        let (first, last) = bounds();
        let own = &self.budget;
        own.limit.set(own.limit.get().clamp(first, last));
        own.bought.get() > last
    }

    /// Buys the spans of `class` that are not bought yet, as far as policy lets a bin hold their blocks. Returns
    /// whether all are bought then.
    pub(super) fn buy_spans(&self, class: usize) -> bool {
        let (lane, span) = (&self.lanes[class], span_bytes(class));
        let most = policy::current().cache_bytes.max(span);
        while !self.has_bought_all_spans(class) {
            let bought = lane.bought.get();
            if bought == u8::MAX || (usize::from(bought) + 1) * span > most || !self.buy(span) {
                return false;
            }
            lane.bought.set(bought + 1);
        }
        true
    }

    /// Whether all spans of `class` are bought.
    pub(super) fn has_bought_all_spans(&self, class: usize) -> bool {
        u64::from(self.lanes[class].bought.get()) >= self.spans_held(class)
    }

    /// Returns how many blocks of `class` the program uses or other threads are sending back. The bin is settled.
    pub(super) fn blocks_in_use(&self, class: usize) -> u32 {
        let lane = &self.lanes[class];
        let run = (lane.end.get() - lane.bump.get()) as u32 / BLOCK_SIZE[class];
        let back = lane.spare.get() + u64::from(run) + u64::from(lane.held.get());
        (self.spans_held(class) * u64::from(SPAN_BLOCKS[class])).saturating_sub(back) as u32
    }

    /// Returns [`Heap::blocks_in_use`], or `None` if all spans of `class` are bought.
    pub(super) fn blocks_in_use_unless_bought(&self, class: usize) -> Option<u32> {
        (!self.has_bought_all_spans(class)).then(|| self.blocks_in_use(class))
    }

    pub(super) fn spans_held(&self, class: usize) -> u64 {
        let lane = &self.lanes[class];
        // Another thread may retire a span between the two loads.
        lane.spans_taken.get().saturating_sub(lane.spans_retired.get())
    }

    /// Adds to the cost of spans that are not bought, and doubles the limit when the cost is high enough. Returns
    /// whether the limit was at its last value already: then the caller flushes everything, which sells all spans.
    pub(super) fn note_miss_cost(&self, cost: u32) -> bool {
        let own = &self.budget;
        own.miss_cost.set(own.miss_cost.get() + cost);
        if own.miss_cost.get() < COST_TO_GROW {
            return false;
        }
        own.miss_cost.set(0);
        let (first, last) = bounds();
        let most = own.limit.get();
        own.limit.set((2 * most).clamp(first, last));
        most >= last
    }
}
