//! What a thread heap is made of. The other files of this folder say what is done with it.
//!
//! A heap has one owner: the thread whose slot holds its anchor. Its memory is laid out around that address:
//!
//! ```text
//!   heap                          anchor
//!   | shared part | ... | bins    | lanes ...        |
//!                        ^ anchor - BINS_BYTES + 16 * class
//! ```
//!
//! so that a page map entry XOR the anchor is the distance from the anchor to the bin (see `entry`).
//!
//! # Who may touch what
//!
//! | part | who |
//! |---|---|
//! | bins; the lanes' runs, counts and limits; the remote cache, the medium cache, the budget | the owner, without a lock |
//! | spans and lists of spans; the receiving end of the inbox | whoever holds the lock |
//! | the sending end of the inbox | every thread |
//!
//! The owner takes the lock on slow paths. Another thread may take it to put blocks back whose owner sleeps. The scavenger, once it has
//! proved that the owner does nothing, acts as the owner while it holds the lock (`scavenger::idle_threads`). The counters are written by
//! the owner, or under the lock.
//!
//! # Safety
//! Heaps come from `metadata` and are never unmapped, so a reference to one is good for ever. Lists run through free blocks.

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
    /// Frees left until the bin is settled.
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
/// The fast paths count what they do in two words of the bin. *Settling* a bin moves these counts into the lane. Between two settlings
///
/// ```text
///   pushes                =  granted - frees_left
///   blocks in the bin     =  held + pushes - pops
/// ```
///
/// For example: settled with 10 blocks in the bin (`held` 10) and granted 64 frees (`granted` and `frees_left` 64). After 5 frees and 3
/// allocations `frees_left` is 59 and `pops` is 3, so the bin holds 10 + 5 - 3 = 12 blocks.
///
/// ```text
///   spare  =  sum over the listed spans of (free + away + capacity - carved)
/// ```
#[repr(C)]
pub struct Lane {
    /// Next block of the run, and the end of the run. Equal when it is used up.
    pub(crate) bump: Owned<AtomicUsize>,
    pub(crate) end: Owned<AtomicUsize>,
    /// Whether the run's blocks are zero.
    pub(crate) fresh: Cell<bool>,
    /// Whether the bin gave blocks back to spans, and nobody has looked for these since.
    pub(crate) flushed: Cell<bool>,
    /// Whether it did so because the class has more spans than it has bought.
    pub(crate) short: Cell<bool>,
    /// Spans that were bought: see `cache_budget`.
    pub(crate) bought: Cell<u8>,
    /// Blocks in the bin when it was last settled.
    pub(crate) held: Owned<AtomicU32>,
    /// Frees that were allowed then until the next settling.
    pub(crate) granted: Owned<AtomicU32>,
    /// Blocks the bin may hold.
    pub(crate) limit: Owned<AtomicU32>,
    /// What `aging` saw the last time: blocks in the bin, blocks popped in all, and blocks pushed or carved in all.
    pub(super) aged_held: Cell<u32>,
    pub(super) aged_popped: Cell<u32>,
    pub(super) aged_others: Cell<u32>,
    /// Spans with blocks to give; under the lock.
    pub(crate) partial: SpanList,
    /// Blocks that the heap's listed spans hold: on their lists, in holes, and not yet carved. Under the lock.
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

/// Counts of medium or of large blocks. A block may be allocated in one heap and freed in another, so only the sums over all heaps mean
/// something.
pub struct Tally {
    pub(crate) allocations: Counter,
    pub(crate) frees: Counter,
    /// Usable bytes.
    pub(crate) bytes: Counter,
    /// Bytes between the ends of blocks and of their slabs.
    pub(crate) slack: Counter,
}

/// What a heap has bought and may buy: see `cache_budget`. In bytes.
#[derive(Default)]
pub(crate) struct Budget {
    pub(super) bought: Cell<usize>,
    pub(super) most: Cell<usize>,
    pub(super) trouble: Cell<u32>,
}

/// Blocks of one other heap that wait to be sent to it: see `remote`.
#[repr(C)]
pub(crate) struct RemoteList {
    pub(super) owner: Cell<usize>,
    pub(crate) first: Cell<usize>,
    pub(super) last: Cell<usize>,
    pub(super) count: Cell<u32>,
    pub(super) bytes: Cell<u32>,
    /// The latest blocks, in a circle.
    pub(super) recent: [Cell<usize>; FETCH_AHEAD],
}

/// Lists of the remote cache. The owner's anchor chooses one, so a list may be sent early because another owner's turn has come.
pub(super) const REMOTE_LISTS: usize = 4;
/// The lines of a chain lie in another processor's cache, and each link is known only when the one before it has arrived. So a
/// block's second word names the block so many links on, for the receiver to fetch in advance.
pub(super) const FETCH_AHEAD: usize = 8;

/// Free medium blocks that a thread keeps at hand: see `medium_cache`.
pub(crate) struct MediumCache {
    /// Blocks of one slab, of two, and so on.
    pub(super) rows: [MediumRow; MEDIUM_ROWS],
    pub(super) bytes: Counter,
    /// Whether it was used since the caches were aged last.
    pub(super) used: Cell<bool>,
}

pub(super) const MEDIUM_ROWS: usize = MEDIUM_MAX / SLAB;

/// Free medium blocks with the same number of slabs, latest first.
pub(super) struct MediumRow {
    pub(super) first: Cell<Option<&'static Span>>,
    pub(super) count: Cell<u32>,
}

/// The kinds of blocks without a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Big {
    /// Slabs of a segment.
    Medium = 0,
    /// A mapping of its own.
    Large = 1,
}

/// What a heap is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Status {
    /// In the pool, just made, or lent for one call.
    Pooled = 0,
    /// Some thread's.
    Owned = 1,
    /// Its owner vanished in a fork while the heap was being changed. It is never touched again.
    Lost = 2,
    /// Some thread's, which seems to do nothing: see `scavenger::idle_threads`.
    Suspect = 3,
    /// Some thread's, which does nothing; what it had at hand was taken.
    Taken = 4,
}

/// A thread heap.
#[repr(C, align(2048))]
pub struct Heap {
    /// The heap behind this one in the pool.
    pub(super) link: AtomicPtr<Heap>,
    /// The heap made before this one.
    pub(super) older: AtomicPtr<Heap>,
    pub(super) status: AtomicU32,
    pub(super) lock: Lock,
    /// Whether the owner is in a slow path. A signal handler that allocates in the middle of one must keep out, and so must the scavenger.
    /// A child that is forked meanwhile sets the heap aside.
    pub(crate) busy: AtomicBool,
    /// Whether its owner was gone at any moment, so that the counts of a bin may be one off.
    pub(crate) orphan: AtomicBool,
    /// Slow paths taken, to read the clock now and then.
    pub(crate) ticks: Owned<AtomicU32>,
    /// Blocks freed by other threads, in chains that are pushed as a whole.
    pub(crate) inbox: AtomicUsize,
    pub(super) inbox_blocks: AtomicUsize,
    pub(super) inbox_bytes: AtomicUsize,
    /// Pointers looked up that were no blocks of ours.
    pub(crate) misses: Counter,
    /// The owner's number.
    pub(crate) thread: AtomicU32,
    /// How often the heap got an owner.
    pub(crate) adoptions: AtomicU32,
    /// Where the owner's slot is; 0 if that is not known.
    pub(crate) place: AtomicUsize,
    /// What `scavenger::idle_threads` saw at its last look.
    pub(crate) seen: AtomicUsize,
    /// Pages of its spans that are gone. Under the lock.
    pub(crate) gone: Counter,
    pub(super) budget: Budget,
    pub(crate) remote_cache: [RemoteList; REMOTE_LISTS],
    /// Medium and large blocks.
    pub(crate) tallies: [Tally; 2],
    filler: [u8; ANCHOR - SHARED_BYTES - BINS_BYTES],
    pub(crate) bins: [Bin; CLASSES],
    pub(crate) lanes: [Lane; CLASSES],
    pub(crate) medium_cache: MediumCache,
    /// The pass of the decay after which the caches were aged last.
    pub(super) aged: Cell<u32>,
}

const SHARED_BYTES: usize = 96 + size_of::<Budget>() + REMOTE_LISTS * size_of::<RemoteList>() + 2 * size_of::<Tally>();

const _: () = {
    assert!(offset_of!(Heap, lanes) == ANCHOR);
    assert!(offset_of!(Heap, bins) == ANCHOR - BINS_BYTES);
    assert!(size_of::<Bin>() == 16);
    // What a thread costs that allocates next to nothing.
    assert!(size_of::<Heap>() <= 12 << 10);
};

// SAFETY: the module's doc says which thread may touch which field when.
unsafe impl Sync for Heap {}

// SAFETY: `link` returns one field; made by `metadata`, so never unmapped; aligned to 2048.
unsafe impl Linked for Heap {
    fn link(&self) -> &AtomicPtr<Heap> {
        &self.link
    }
}

impl Heap {
    /// The address that page map entries and slots know this heap by.
    pub(crate) fn anchor(&self) -> usize {
        ptr::from_ref(self) as usize + ANCHOR
    }

    /// The heap with this anchor.
    pub(crate) fn at_anchor(anchor: usize) -> &'static Heap {
        // SAFETY: anchors come from the slot and from page map entries, which hold only anchors of heaps.
        unsafe { &*((anchor - ANCHOR) as *const Heap) }
    }
}

/// A heap whose lock this thread holds. Spans that became empty are released, and misuse is named, when the lock is free again, since
/// that may take a kernel call.
pub(crate) struct Locked<'a> {
    pub(super) heap: &'a Heap,
    pub(super) held: Option<Held<'a>>,
    pub(super) retired: SpanList,
    pub(super) noticed: Noticed,
}

/// What stands where a thread's heap would be before the thread has one: bins that are always empty, so that the fast paths need no test
/// for that; and beside them the tables from sizes to bins.
#[repr(C, align(64))]
pub(crate) struct EmptyHeap {
    pub(crate) bins: [Bin; CLASSES],
    /// For each multiple of 8: how far into the bins the bin of its class lies.
    pub(super) offsets: [u16; TABLE_MAX / 8 + 1],
    /// The same where blocks must be aligned to 16 whatever their size.
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

/// How far into the bins the bin for each multiple of `STEP` lies. Sizes below `least` count as `least`.
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
