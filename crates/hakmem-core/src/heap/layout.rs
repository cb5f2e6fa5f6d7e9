//! The structures of a thread heap. The other files of this folder define the operations on them.
//!
//! A heap has one owner: the thread whose slot holds its anchor. Its memory is laid out around that address:
//!
//! ```text
//!   heap                          anchor
//!   | shared part | ... | bins    | lanes ...        |
//!                        ^ anchor - BINS_BYTES + 16 * class
//! ```
//!
//! so a page map entry XOR the anchor is the distance from the anchor to the bin (see `entry`).
//!
//! # Which thread may touch which part
//!
//! | part | thread |
//! |---|---|
//! | bins; the lanes' runs, counts and limits; the remote cache, the medium cache, the budget | the owner, without a lock |
//! | spans and lists of spans; taking from the inbox | the thread that holds the lock |
//! | pushing onto the inbox | every thread |
//!
//! The owner takes the lock on slow paths. Another thread may take it to put blocks back into spans whose owner sleeps.
//! The scavenger acts as the owner while it holds the lock, once it has proved that the owner is blocked
//! (`scavenger::idle_threads`). Counters are written by the owner, or under the lock.
//!
//! # Safety
//! Heaps come from `metadata` and are never unmapped, so a `&'static Heap` stays valid. Lists run through free blocks.

use super::notice::Noticed;
use crate::backend::span::{Span, SpanList};
use crate::base::sizes::{CLASSES, MEDIUM_MAX, SLAB, SMALL_MAX, STEP_ABOVE, TABLE_MAX, class_of};
use crate::base::sync::{Counter, Linked, Owned};
use core::mem::offset_of;
use core::ptr;
use hakmem_os::atomic::Cell;
use hakmem_os::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize};
use hakmem_os::futex::{Held, Lock};

/// The hot part of a size class in a heap: what the fast paths touch.
#[repr(C)]
pub struct Bin {
    /// Free blocks, latest first; 0 for none.
    pub(crate) head: AtomicUsize,
    /// Frees left until the bin is settled: see [`Lane`].
    pub(crate) frees_left: AtomicU32,
    /// Blocks popped since the bin was last settled.
    pub(crate) pops: AtomicU32,
}

/// Bytes of all bins of a heap.
pub const BINS_BYTES: usize = CLASSES * size_of::<Bin>();
/// Distance from a heap to its anchor, and the alignment of both.
pub(crate) const ANCHOR: usize = 2048;

/// The cold part of a size class in a heap.
///
/// The fast paths count pushes and pops in two words of the bin. *Settling* the bin moves these counts into the lane;
/// then the bin is *granted* a number of frees, after which the slow path settles it again. Between two settlings
///
/// ```text
///   granted       |==========================================|       frees allowed until the next settling
///                 |<-- pushes so far -->|<--- frees_left --->|
///
///   pushes             =  granted - frees_left
///   blocks in the bin  =  held + pushes - pops
/// ```
///
/// For example: at the settling the bin holds 10 blocks (`held` 10) and is granted 64 frees (`granted` and `frees_left`
/// 64). After 5 frees and 3 allocations `frees_left` is 59 and `pops` is 3, so the bin holds 10 + 5 - 3 = 12 blocks.
///
/// The *run* is the part of one span from which the heap takes blocks that were never handed out:
///
/// ```text
///   |  handed out  | next block |        ...        |
///                  ^ bump                           ^ end           blocks left  =  (end - bump) / block size
/// ```
///
/// For example: a run of 48-byte blocks with `bump` at 0x1060 and `end` at 0x1120 has 192 / 48 = 4 blocks left. `carve`
/// returns 0x1060 and moves `bump` to 0x1090.
///
/// The spans that are listed in `partial` have blocks to give:
///
/// ```text
///   spare  =  sum over the listed spans of (free + in holes + capacity - carved)
/// ```
///
/// For example: one listed span of 100 blocks has 60 carved blocks, 20 of them on its list and 5 in holes. So `spare` is
/// 20 + 5 + 100 - 60 = 65.
#[repr(C)]
pub struct Lane {
    /// The next block of the run, and the end of the run. They are equal when the run is used up.
    pub(crate) bump: Owned<AtomicUsize>,
    pub(crate) end: Owned<AtomicUsize>,
    /// Whether the run's blocks are zero.
    pub(crate) fresh: Cell<bool>,
    /// Whether blocks went from the bin to spans, and the listed spans were not searched for free blocks since.
    pub(crate) flushed: Cell<bool>,
    /// Whether blocks went from the bin to spans because the class has more spans than it has bought.
    pub(crate) flushed_unbought: Cell<bool>,
    /// Number of spans bought: see `cache_budget`.
    pub(crate) bought: Cell<u8>,
    /// Blocks in the bin when it was last settled.
    pub(crate) held: Owned<AtomicU32>,
    /// Frees that were granted at that time.
    pub(crate) granted: Owned<AtomicU32>,
    /// Blocks that the bin may hold.
    pub(crate) limit: Owned<AtomicU32>,
    /// The state at the last aging: blocks in the bin, the total of blocks popped, and the total of blocks pushed or
    /// carved.
    pub(super) aged_held: Cell<u32>,
    pub(super) aged_popped: Cell<u32>,
    pub(super) aged_others: Cell<u32>,
    /// Listed spans: those with blocks to give. Under the lock.
    pub(crate) partial: SpanList,
    /// Blocks that the listed spans have to give: on their lists, in holes, and not yet carved. Under the lock.
    pub(crate) spare: Counter,
    pub(crate) bumped: Counter,
    pub(crate) popped: Counter,
    pub(crate) pushed: Counter,
    pub(crate) refills: Counter,
    pub(crate) spans_taken: Counter,
    pub(crate) spans_retired: Counter,
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
}

/// Counts of medium or of large blocks. A block may be allocated in one heap and freed in another, so only the sums
/// over all heaps are meaningful.
pub struct Tally {
    pub(crate) allocations: Counter,
    pub(crate) frees: Counter,
    /// Usable bytes.
    pub(crate) bytes: Counter,
    /// Bytes between the end of each block and the end of its last slab.
    pub(crate) slack: Counter,
}

/// The right of a heap to keep spans: see `cache_budget`.
///
/// ```text
///   0          bought                limit                    share of this heap
///   |============|---- may buy --------|---- may grow to --------|
/// ```
///
/// For example: `limit` is 256 KiB and three spans of 64 KiB are bought (`bought` 192 KiB). The heap can buy one more
/// span; to buy a fifth one, it must have paid 1024 of `miss_cost` first, which doubles `limit` to 512 KiB.
#[derive(Default)]
pub(crate) struct Budget {
    /// Bytes bought.
    pub(super) bought: Cell<usize>,
    /// Bytes that the heap may buy.
    pub(super) limit: Cell<usize>,
    /// Cost of spans that are not bought, since the limit was doubled last.
    pub(super) miss_cost: Cell<u32>,
}

/// Blocks of one other heap that wait to be sent to their owner: see `remote`.
#[repr(C)]
pub(crate) struct RemoteList {
    pub(super) owner: Cell<usize>,
    pub(crate) first: Cell<usize>,
    pub(super) last: Cell<usize>,
    pub(super) count: Cell<u32>,
    pub(super) bytes: Cell<u32>,
    /// The latest blocks, as a ring buffer.
    pub(super) recent: [Cell<usize>; PREFETCH_DISTANCE],
}

/// Number of lists in a remote cache. The owner's anchor selects the list, so a list may be sent early because a block
/// of another owner needs it.
pub(super) const REMOTE_LISTS: usize = 4;
/// The cache lines of a chain belong to another processor, and each link is known only when the line before it has
/// arrived. So the second word of a block names the block this many links further, for the receiver to prefetch.
pub(super) const PREFETCH_DISTANCE: usize = 8;

/// Free medium blocks that a thread caches: see `medium_cache`.
pub(crate) struct MediumCache {
    /// Blocks of one slab, of two, and so on.
    pub(super) rows: [MediumRow; MEDIUM_ROWS],
    pub(super) bytes: Counter,
    /// Whether the medium cache was used since the last aging.
    pub(super) used: Cell<bool>,
}

pub(super) const MEDIUM_ROWS: usize = MEDIUM_MAX / SLAB;

/// Free medium blocks with the same number of slabs, latest first.
pub(super) struct MediumRow {
    pub(super) first: Cell<Option<&'static Span>>,
    pub(super) count: Cell<u32>,
}

/// The kinds of blocks without a size class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Big {
    /// Slabs of a segment.
    Medium = 0,
    /// A mapping of its own.
    Large = 1,
}

/// The state of a heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Status {
    /// In the pool, just made, or lent for one call.
    Pooled = 0,
    /// Owned by a thread.
    Owned = 1,
    /// Its owner vanished in a fork while the heap was being changed. No thread touches it again.
    Lost = 2,
    /// Owned by a thread that seems to be idle: see `scavenger::idle_threads`.
    Suspect = 3,
    /// Owned by an idle thread; the scavenger has emptied it.
    Taken = 4,
}

/// A thread heap.
#[repr(C, align(2048))]
pub struct Heap {
    /// The next heap in the pool.
    pub(super) link: AtomicPtr<Heap>,
    /// The heap that was made before this one.
    pub(super) older: AtomicPtr<Heap>,
    pub(super) status: AtomicU32,
    pub(super) lock: Lock,
    /// Whether the owner is in a slow path. Neither a signal handler that interrupts the slow path nor the scavenger
    /// may then use the heap. A child process forked at that time by another thread never uses it.
    pub(crate) busy: AtomicBool,
    /// Whether the owner vanished in a fork, possibly in a fast path, so that the counts of a bin may be off by one.
    pub(crate) orphan: AtomicBool,
    /// Slow paths since the clock was last read.
    pub(crate) ticks: Owned<AtomicU32>,
    /// Blocks freed by other threads, pushed as whole chains.
    pub(crate) inbox: AtomicUsize,
    pub(super) inbox_blocks: AtomicUsize,
    pub(super) inbox_bytes: AtomicUsize,
    /// Frees of pointers that were no blocks of this allocator.
    pub(crate) misses: Counter,
    /// The owner's thread number.
    pub(crate) thread: AtomicU32,
    /// How many times a thread has adopted the heap.
    pub(crate) adoptions: AtomicU32,
    /// Address of the owner's slot; 0 if that is not known.
    pub(crate) slot_address: AtomicUsize,
    /// The signature that `scavenger::idle_threads` computed at its last look.
    pub(crate) last_signature: AtomicUsize,
    /// Pages in holes of its spans, which went back to the system. Under the lock.
    pub(crate) pages_in_holes: Counter,
    pub(super) budget: Budget,
    pub(crate) remote_cache: [RemoteList; REMOTE_LISTS],
    /// Medium and large blocks.
    pub(crate) tallies: [Tally; 2],
    filler: [u8; ANCHOR - SHARED_BYTES - BINS_BYTES],
    pub(crate) bins: [Bin; CLASSES],
    pub(crate) lanes: [Lane; CLASSES],
    pub(crate) medium_cache: MediumCache,
    /// The decay pass after which the caches were last aged.
    pub(super) aged: Cell<u32>,
}

const SHARED_BYTES: usize = 96 + size_of::<Budget>() + REMOTE_LISTS * size_of::<RemoteList>() + 2 * size_of::<Tally>();

const _: () = {
    assert!(offset_of!(Heap, lanes) == ANCHOR);
    assert!(offset_of!(Heap, bins) == ANCHOR - BINS_BYTES);
    assert!(size_of::<Bin>() == 16);
    // This is the cost of a thread that allocates almost nothing.
    assert!(size_of::<Heap>() <= 12 << 10);
};

// SAFETY: each field has one thread at a time that may touch it, as the table at the top of this file says.
unsafe impl Sync for Heap {}

// SAFETY: `link` returns always the same field; heaps come from `metadata`, so they are never unmapped; they are
// aligned to 2048.
unsafe impl Linked for Heap {
    fn link(&self) -> &AtomicPtr<Heap> {
        &self.link
    }
}

impl Heap {
    /// Returns the address by which page map entries and slots refer to this heap.
    pub(crate) fn anchor(&self) -> usize {
        ptr::from_ref(self) as usize + ANCHOR
    }

    /// Returns the heap with this anchor.
    pub(crate) fn at_anchor(anchor: usize) -> &'static Heap {
        // SAFETY: anchors come from the slot and from page map entries, which hold only anchors of heaps.
        unsafe { &*((anchor - ANCHOR) as *const Heap) }
    }
}

/// A heap whose lock this thread holds. Empty spans are released and misuse is reported after the lock is released,
/// since both may make a system call.
pub(crate) struct Locked<'a> {
    pub(super) heap: &'a Heap,
    pub(super) held: Option<Held<'a>>,
    pub(super) retired: SpanList,
    pub(super) noticed: Noticed,
}

/// The heap of a thread that has none. Its bins are always empty, so the fast paths need no test for a missing heap.
/// The tables from sizes to bins lie beside them.
#[repr(C, align(64))]
pub(crate) struct EmptyHeap {
    pub(crate) bins: [Bin; CLASSES],
    /// For each multiple of 8: the offset in bytes of its class's bin from the first bin.
    pub(super) offsets: [u16; TABLE_MAX / 8 + 1],
    /// The same for blocks that must be aligned to 16 whatever their size.
    pub(super) offsets_for_new: [u16; TABLE_MAX / 8 + 1],
    /// The same for each multiple of [`STEP_ABOVE`], for sizes above [`TABLE_MAX`].
    pub(super) offsets_above: [u16; SMALL_MAX / STEP_ABOVE + 1],
}

pub(crate) static EMPTY_HEAP: EmptyHeap = EmptyHeap {
    bins: [const { Bin { head: AtomicUsize::new(0), frees_left: AtomicU32::new(0), pops: AtomicU32::new(0) } };
        CLASSES],
    offsets: offsets::<8, _>(0),
    offsets_for_new: offsets::<8, _>(16),
    offsets_above: offsets::<STEP_ABOVE, _>(0),
};

/// Returns the offsets of the bins, in bytes, for each multiple of `STEP`. Sizes below `least` count as `least`.
pub(super) const fn offsets<const STEP: usize, const LENGTH: usize>(least: usize) -> [u16; LENGTH] {
    let mut offsets = [0; LENGTH];
    let mut at = 0;
    while at < LENGTH {
        let size = if at * STEP < least { least } else { at * STEP };
        offsets[at] = (class_of(size) * size_of::<Bin>()) as u16;
        at += 1;
    }
    offsets
}
