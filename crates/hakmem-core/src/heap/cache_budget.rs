//! What a heap may keep at hand, in spans that it has bought.
//!
//! One free block in a bin keeps its whole span from other use. So spans are what is counted: a class keeps what it likes of as many
//! spans as it has bought, and what it has beyond them goes back as a whole once the program holds no block of the class any
//! more. While it holds some, their spans stay in any case.
//!
//! A heap buys from what all heaps together may keep, `cache_total`, and no more than its own budget: which starts small,
//! doubles when the heap has missed what it gave back often enough, and ends at an equal share. At that end it sells everything now and
//! then and buys anew, so that the classes in use have the spans. It sells all when its thread idles or ends.
//!
//! ```text
//!   sum over heaps of bought  =  BOUGHT  <=  cache_total, as it was when the last of them was bought
//!   sum over classes of (spans bought * bytes of one)  <=  bought
//! ```
//!
//! Called by the owner of the heap, or by who acts as the owner.

use super::layout::{Budget, Heap};
use super::registry;
use crate::base::sizes::{BLOCK_SIZE, SLAB, SPAN_BLOCKS, span_bytes};
use crate::policy;
use hakmem_os::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that all heaps have bought.
static BOUGHT: AtomicUsize = AtomicUsize::new(0);

/// Trouble after which a heap may buy twice as much, or buys anew. A class that needs again what it gave back for want of an budget
/// is [`MISS`], which costs some hundred instructions; a bin that is looked at because its spans are not bought is 1.
const PATIENCE: u32 = 1024;
pub(super) const MISS: u32 = 4;

/// What a heap may buy at first, and at last: its share if all get the same. In bytes; at least a slab, so that whoever comes first
/// has something. The first is a small part where there are many threads, and most of them wait as a rule, and a
/// large one where there is but one.
fn bounds() -> (usize, usize) {
    let heaps = registry::owned().max(1);
    let share = policy::current().cache_total / heaps;
    ((share / 4).max(SLAB), share.max(SLAB))
}

/// Bytes that all heaps have bought.
pub(crate) fn bought_by_all() -> usize {
    BOUGHT.load(Relaxed)
}

/// In a child just forked: threads that are gone may have been about to note what they bought.
pub(super) fn after_fork_in_child() {
    BOUGHT.store(Heap::all().map(|heap| heap.budget.bought.get()).sum(), Relaxed);
}

impl Budget {
    /// Forgets what was bought, in a child just forked, for a heap that nobody uses any more.
    pub(super) fn forget(&self) {
        BOUGHT.fetch_sub(self.bought.replace(0), Relaxed);
    }
}

impl Heap {
    /// Buys the right to keep so many bytes; false where the heap's budget or the process's is used up.
    pub(super) fn buy(&self, bytes: usize) -> bool {
        let own = &self.budget;
        let bought = own.bought.get() + bytes;
        if bought > own.most.get() {
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

    /// Sells what `class` has bought. The caller gives back what was kept by it.
    pub(super) fn sell(&self, class: usize) {
        let bytes = usize::from(self.lanes[class].bought.replace(0)) * span_bytes(class);
        self.budget.bought.set(self.budget.bought.get() - bytes);
        BOUGHT.fetch_sub(bytes, Relaxed);
    }

    /// Sells all. The caller gives back what was kept by it.
    pub(super) fn sell_all(&self) {
        self.lanes.iter().for_each(|lane| lane.bought.set(0));
        BOUGHT.fetch_sub(self.budget.bought.replace(0), Relaxed);
    }

    /// Bytes this heap has bought.
    pub(crate) fn bought(&self) -> usize {
        self.budget.bought.get()
    }

    /// Makes the budget small, for a thread that begins or idles.
    pub(crate) fn start_small(&self) {
        self.budget.most.set(bounds().0);
    }

    /// Brings the budget down to this heap's share, which is less with each thread that came since. Returns whether more was
    /// bought than that.
    pub(super) fn keep_to_share(&self) -> bool {
        let (first, last) = bounds();
        let own = &self.budget;
        own.most.set(own.most.get().clamp(first, last));
        own.bought.get() > last
    }

    /// Buys what `class` lacks to keep all its spans, as far as policy lets a bin hold as much; whether it has all then.
    pub(super) fn buy_spans(&self, class: usize) -> bool {
        let (lane, span) = (&self.lanes[class], span_bytes(class));
        let most = policy::current().cache_bytes.max(span);
        while !self.owns_spans(class) {
            let bought = lane.bought.get();
            if bought == u8::MAX || (usize::from(bought) + 1) * span > most || !self.buy(span) {
                return false;
            }
            lane.bought.set(bought + 1);
        }
        true
    }

    /// Whether `class` has bought as many spans as it has.
    pub(super) fn owns_spans(&self, class: usize) -> bool {
        u64::from(self.lanes[class].bought.get()) >= self.spans_held(class)
    }

    /// Blocks of `class`, whose bin is settled, in the program's hands or on their way back.
    pub(super) fn blocks_out(&self, class: usize) -> u32 {
        let lane = &self.lanes[class];
        let run = (lane.end.get() - lane.bump.get()) as u32 / BLOCK_SIZE[class];
        let back = lane.spare.get() + u64::from(run) + u64::from(lane.held.get());
        (self.spans_held(class) * u64::from(SPAN_BLOCKS[class])).saturating_sub(back) as u32
    }

    /// The same unless all its spans are bought.
    pub(super) fn blocks_out_unless_owned(&self, class: usize) -> Option<u32> {
        (!self.owns_spans(class)).then(|| self.blocks_out(class))
    }

    pub(super) fn spans_held(&self, class: usize) -> u64 {
        let lane = &self.lanes[class];
        // Others may retire one in between.
        lane.spans_taken.get().saturating_sub(lane.spans_retired.get())
    }

    /// Notes what it costs that classes have not bought their spans. Returns whether it is time to give everything back and buy
    /// anew; before that the budget grows.
    pub(super) fn note_trouble(&self, trouble: u32) -> bool {
        let own = &self.budget;
        own.trouble.set(own.trouble.get() + trouble);
        if own.trouble.get() < PATIENCE {
            return false;
        }
        own.trouble.set(0);
        let (first, last) = bounds();
        let most = own.most.get();
        own.most.set((2 * most).clamp(first, last));
        most >= last
    }
}
