//! Thread heaps: the HOT box (bins) and its cold twins.
//!
//! A heap has one owner, the thread whose slot points at it. Its memory is laid out around one address, the *anchor*:
//!
//! ```text
//!   heap                          anchor
//!   | shared part | ... | bins    | lanes ...        |
//!                        ^ anchor - BINS_BYTES + 16 * class
//! ```
//!
//! so that a page map entry XOR the anchor is the distance to the bin (see [`crate::pagemap`]).
//!
//! Who may touch what: bins, and the owner's part of the lanes, the owner alone and without locks; spans, lists of spans and
//! the receiving end of the inbox, whoever holds the lock, which the owner takes on slow paths and others may take to serve
//! a heap whose owner sleeps; the inbox's sending end, everybody. Who has proved that the owner does nothing, and holds the lock,
//! acts as the owner: see `idle`. Counters are written by the owner or under the lock.
//!
//! Of one bin
//!
//! ```text
//!   blocks on the list  =  held + (granted - room) - pops
//! ```
//!
//! `held` is the length when it was last settled; `granted - room` blocks were pushed and `pops` popped since. Of one lane
//!
//! ```text
//!   spare  =  sum over the listed spans of (free + away + capacity - carved)
//! ```
//!
//! # Safety
//! Heaps come from `meta` and are never unmapped, so a reference to one is good for ever. Lists run through free blocks.

mod adopt;
mod alloc;
mod allowance;
mod census;
mod fork;
mod free;
mod gaps;
mod idle;
mod misuse;
mod pressure;
mod realloc;
mod refill;
mod remote;
mod rows;
mod shelf;
mod validate;
mod work;
mod worth;

pub use adopt::start;
pub use alloc::{
    allocate, allocate_aligned, allocate_for_new, allocate_inline, allocate_zeroed, allocate_zeroed_aligned,
    pop_for_new,
};
pub use census::{Census, census};
pub use fork::after_fork_in_child;
pub use free::{free, usable_size};
pub use gaps::open_gaps;
pub use idle::{Found, take_from};
pub use misuse::{free_sized, look_through_bins, name_misuse};
pub use pressure::attend;
pub use realloc::{reallocate, reallocate_if_live, stays};
pub use rows::{Big, Row, big_row, gone_bytes, misses_and_heaps, row};
pub use validate::{Fault, validate};
pub use worth::worth_moving;

use crate::bell;
use crate::limits;
use crate::pagemap;
use crate::segment::Segment;
use crate::sizes::{BLOCK_SIZE, CLASSES, SLAB, SMALL_MAX, STEP_ABOVE, TABLE_MAX, class_of};
use crate::span::{SpanList, next_of};
use crate::sync::{Counter, Linked, Owned};
use crate::turn;
use allowance::Allowance;
use core::mem::offset_of;
use core::ops::Deref;
use core::ptr;
use hakmem_os::atomic::Cell;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    compiler_fence,
};
use hakmem_os::futex::{Held, Lock};
use hakmem_os::slot;
use misuse::Noticed;
use shelf::Shelf;
use work::Work;

/// The hot part of a size class in a heap.
#[repr(C)]
pub struct Bin {
    /// Free blocks, latest first; 0 for none.
    head: AtomicUsize,
    /// Frees left until the list is settled.
    room: AtomicU32,
    /// Blocks popped since it was last settled.
    pops: AtomicU32,
}

/// Bytes of all bins of a heap.
pub const BINS_BYTES: usize = CLASSES * size_of::<Bin>();
/// Distance from a heap to its anchor, and the alignment of both.
const ANCHOR: usize = 2048;

/// The cold part of a size class in a heap.
#[repr(C)]
pub struct Lane {
    /// Next block of the run, and the end of the run. Equal when it is used up.
    bump: Owned<AtomicUsize>,
    end: Owned<AtomicUsize>,
    /// Whether the run's blocks are zero.
    fresh: Cell<bool>,
    /// Whether the bin gave blocks to spans that it has not looked for since.
    flushed: Cell<bool>,
    /// Whether it did so because the class has more spans than it has bought.
    short: Cell<bool>,
    /// Spans that were bought: see `allowance`.
    bought: Cell<u8>,
    held: Owned<AtomicU32>,
    granted: Owned<AtomicU32>,
    /// Blocks the bin may hold.
    limit: Owned<AtomicU32>,
    /// Spans with blocks to give; under the lock.
    partial: SpanList,
    /// Blocks of this heap's spans that their spans hold: on their lists, and not yet carved. Under the lock.
    spare: Counter,
    bumped: Counter,
    popped: Counter,
    pushed: Counter,
    refills: Counter,
    spans_taken: Counter,
    spans_retired: Counter,
    sent: Counter,
    received: Counter,
}

/// Counts of blocks that are too large for a class. Blocks come and go in different heaps, so only the sums over all heaps
/// mean something.
pub struct Tally {
    allocations: Counter,
    frees: Counter,
    bytes: Counter,
    /// Bytes between the ends of blocks and of their slabs.
    slack: Counter,
}

impl Tally {
    const fn new() -> Tally {
        Tally { allocations: Counter::new(), frees: Counter::new(), bytes: Counter::new(), slack: Counter::new() }
    }

    /// Adds another one's counts, as any of many threads.
    fn add_shared(&self, change: &Tally) {
        self.allocations.add_shared(change.allocations.get());
        self.frees.add_shared(change.frees.get());
        self.bytes.add_shared(change.bytes.get());
        self.slack.add_shared(change.slack.get());
    }

    fn add_bytes(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
        self.slack.add(slack(bytes));
    }

    fn sub_bytes(&self, bytes: usize) {
        self.bytes.sub(bytes as u64);
        self.slack.sub(slack(bytes));
    }
}

/// Bytes left over in the last slab of a block of whole slabs.
fn slack(bytes: usize) -> u64 {
    (bytes.next_multiple_of(SLAB) - bytes) as u64
}

/// What a heap is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Status {
    /// In the pool, just made, or lent for one call.
    Pooled = 0,
    /// Some thread's.
    Owned = 1,
    /// Its owner vanished in a fork while it was being changed; never touched again.
    Lost = 2,
    /// Some thread's, which seems to do nothing: see `idle`.
    Suspect = 3,
    /// Some thread's, which does nothing; what it had at hand was taken.
    Taken = 4,
}

/// Blocks of another heap on their way to it.
#[repr(C)]
struct Outgoing {
    owner: Cell<usize>,
    first: Cell<usize>,
    last: Cell<usize>,
    count: Cell<u32>,
    bytes: Cell<u32>,
    /// The latest blocks, in a circle.
    recent: [Cell<usize>; remote::AHEAD],
}

const ROUTES: usize = 4;

/// What a signal handler may free to a bin before that is looked at again, where it interrupted a slow path.
const FREES_IN_HANDLER: u32 = 64;

/// A bin is settled after this many bytes of frees at the earliest.
const SETTLE_BYTES: u32 = 16 << 10;

/// A thread heap.
#[repr(C, align(2048))]
pub struct Heap {
    link: AtomicPtr<Heap>,
    /// The heap made before this one.
    older: AtomicPtr<Heap>,
    status: AtomicU32,
    lock: Lock,
    /// Whether the owner is in a slow path: a signal handler that allocates in the middle of one must keep out, and so must who
    /// takes from idle threads. A child that is forked meanwhile sets the heap aside.
    busy: AtomicBool,
    /// Whether its owner was gone at any moment, so that the counts of a bin may be one off.
    orphan: AtomicBool,
    /// Slow paths taken, to read the clock now and then.
    ticks: Owned<AtomicU32>,
    /// Blocks freed by others, a chain pushed as a whole.
    inbox: AtomicUsize,
    inbox_blocks: AtomicUsize,
    inbox_bytes: AtomicUsize,
    /// Lookups that found no block of ours.
    misses: Counter,
    /// The owner's number, and where its slot is; 0 if that is not known.
    thread: AtomicU32,
    /// How often it got an owner.
    adoptions: AtomicU32,
    place: AtomicUsize,
    /// What `idle` saw at its last look.
    seen: AtomicUsize,
    /// Pages of its spans that are gone. Under the lock.
    gone: Counter,
    allowance: Allowance,
    outgoing: [Outgoing; ROUTES],
    /// Medium and large blocks.
    tallies: [Tally; 2],
    filler: [u8; ANCHOR - SHARED_BYTES - BINS_BYTES],
    bins: [Bin; CLASSES],
    lanes: [Lane; CLASSES],
    shelf: Shelf,
}

const SHARED_BYTES: usize = 96 + size_of::<Allowance>() + ROUTES * size_of::<Outgoing>() + 2 * size_of::<Tally>();

const _: () = {
    assert!(offset_of!(Heap, lanes) == ANCHOR);
    assert!(offset_of!(Heap, bins) == ANCHOR - BINS_BYTES);
    assert!(size_of::<Bin>() == 16);
    // What a thread costs that allocates next to nothing.
    assert!(size_of::<Heap>() <= 12 << 10);
};

// SAFETY: the module's doc says which thread may touch which field when.
unsafe impl Sync for Heap {}

// SAFETY: `link` returns one field; made by `meta`, so never unmapped; aligned to 2048.
unsafe impl Linked for Heap {
    fn link(&self) -> &AtomicPtr<Heap> {
        &self.link
    }
}

/// What stands where a thread's heap would be before it has one: empty bins, and beside them the table from sizes to bins.
#[repr(C, align(64))]
struct Ground {
    bins: [Bin; CLASSES],
    /// For each multiple of 8: how far into the bins its class's bin lies.
    offsets: [u16; TABLE_MAX / 8 + 1],
    /// The same where blocks must be aligned to 16 whatever their size.
    offsets_for_new: [u16; TABLE_MAX / 8 + 1],
    /// The same for each multiple of [`STEP_ABOVE`], for sizes above [`TABLE_MAX`].
    offsets_above: [u16; SMALL_MAX / STEP_ABOVE + 1],
}

static GROUND: Ground = Ground {
    bins: [const { Bin { head: AtomicUsize::new(0), room: AtomicU32::new(0), pops: AtomicU32::new(0) } }; CLASSES],
    offsets: offsets::<8, _>(0),
    offsets_for_new: offsets::<8, _>(16),
    offsets_above: offsets::<STEP_ABOVE, _>(0),
};

/// How far into the bins the bin for each multiple of `STEP` lies, sizes below `least` counting as that.
const fn offsets<const STEP: usize, const LENGTH: usize>(least: usize) -> [u16; LENGTH] {
    let mut offsets = [0; LENGTH];
    let mut at = 0;
    while at < LENGTH {
        let size = if at * STEP < least { least } else { at * STEP };
        offsets[at] = (class_of(size) * size_of::<Bin>()) as u16;
        at += 1;
    }
    offsets
}

/// The page map entry of a slab of `class` that belongs to the heap with this anchor.
fn entry_for(anchor: usize, class: usize) -> usize {
    anchor ^ bin_distance(class)
}

/// From an anchor to the bin of `class`: a small negative number.
const fn bin_distance(class: usize) -> usize {
    (class * size_of::<Bin>()).wrapping_sub(BINS_BYTES)
}

/// The class in an entry of small blocks.
fn class_in(entry: usize) -> usize {
    ((entry & (ANCHOR - 1)) - (ANCHOR - BINS_BYTES)) / size_of::<Bin>()
}

/// The anchor in an entry of small blocks.
fn anchor_in(entry: usize) -> usize {
    !entry & !(ANCHOR - 1)
}

/// The heap that owns the span of small blocks which begins at this slab, if one does.
fn owner_of(segment: &Segment, slab: usize) -> Option<&'static Heap> {
    let entry = pagemap::entry(segment.base() + slab * SLAB);
    (is_small(entry) && segment.spans[slab].back() == 0).then(|| Heap::at_anchor(anchor_in(entry)))
}

/// Whether an entry is one of small blocks: user addresses have their top bit clear, so these have it set.
fn is_small(entry: usize) -> bool {
    (entry as isize) < 0
}

/// A heap whose owner is in a slow path.
struct Working(&'static Heap);

impl Deref for Working {
    type Target = Heap;

    fn deref(&self) -> &Heap {
        self.0
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // Whoever finds it idle, and acts as its owner, finds all that was done.
        self.busy.store(false, Release);
    }
}

/// Work on a heap's spans under its lock. Spans that became empty are released, and misuse is named, when the lock is free again,
/// since that may take a kernel call.
struct Inside<'a> {
    heap: &'a Heap,
    held: Option<Held<'a>>,
    retired: SpanList,
    noticed: Noticed,
}

impl Heap {
    fn anchor(&self) -> usize {
        ptr::from_ref(self) as usize + ANCHOR
    }

    /// The blocks on the list of a bin, which nobody changes meanwhile.
    fn bin_blocks(&self, class: usize) -> impl Iterator<Item = usize> {
        let mut at = self.bins[class].head.load(Relaxed);
        core::iter::from_fn(move || {
            let block = at;
            // SAFETY: blocks on the list are free blocks of ours.
            at = if block == 0 { 0 } else { unsafe { next_of(block) } };
            (block != 0).then_some(block)
        })
    }

    fn at_anchor(anchor: usize) -> &'static Heap {
        // SAFETY: anchors come from the slot and from page map entries, which hold only anchors of heaps.
        unsafe { &*((anchor - ANCHOR) as *const Heap) }
    }

    /// This thread's heap for a slow path that allocates: made or adopted if need be; `None` for a thread that is exiting, for a
    /// signal handler that interrupted a slow path, and where memory is out.
    fn for_slow_path() -> Option<Working> {
        Heap::begin_with(adopt::attach)
    }

    /// The same for one that frees: a thread that has none, and has none to gain by that, goes without.
    fn to_free() -> Option<Working> {
        Heap::begin_with(adopt::attach_to_free)
    }

    /// The same for one that does neither: `None` also where this thread has no heap.
    fn if_there() -> Option<Working> {
        fork::look();
        Heap::begin_with(adopt::known)
    }

    fn begin_with(attach: fn() -> Option<&'static Heap>) -> Option<Working> {
        let heap = match slot::heap() {
            0 => attach()?,
            anchor => Heap::at_anchor(anchor),
        };
        heap.begin()
    }

    /// Begins a slow path of this thread's heap, unless one is under way.
    fn begin(&'static self) -> Option<Working> {
        fork::look();
        if self.status() == Status::Lost {
            // In a child: whoever was at work on it is not there to end that.
            adopt::forget();
            return adopt::attach()?.begin();
        }
        if self.busy.load(Relaxed) {
            return None;
        }
        self.busy.store(true, Relaxed);
        compiler_fence(SeqCst);
        if self.status() != Status::Owned || slot::heap() == 0 {
            self.come_back();
        }
        Some(Working(self))
    }

    /// What this heap is at the moment.
    pub fn status(&self) -> Status {
        match self.status.load(Acquire) {
            0 => Status::Pooled,
            1 => Status::Owned,
            2 => Status::Lost,
            3 => Status::Suspect,
            _ => Status::Taken,
        }
    }

    /// Under the lock, but for a heap that no thread has.
    fn set_status(&self, status: Status) {
        self.status.store(status as u32, Release);
    }

    /// Every heap ever made, latest first.
    pub fn all() -> impl Iterator<Item = &'static Heap> {
        adopt::all()
    }

    fn inside<'a>(&'a self, held: Held<'a>) -> Inside<'a> {
        Inside { heap: self, held: Some(held), retired: SpanList::default(), noticed: Noticed::new() }
    }

    /// Takes the lock as the owner.
    fn enter(&self) -> Inside<'_> {
        self.inside(self.lock.lock_as_owner())
    }

    /// Takes the lock as somebody else, who waits for it.
    fn enter_as_visitor(&self) -> Inside<'_> {
        self.inside(self.lock.lock())
    }

    /// Takes the lock as somebody else, if it is free.
    fn visit(&self) -> Option<Inside<'_>> {
        let held = self.lock.try_lock()?;
        (self.status() != Status::Lost).then(|| self.inside(held))
    }

    /// Brings `held` up to date with what the fast paths did. How many frees these were.
    fn settle(&self, class: usize) -> u32 {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        let pops = bin.pops.load(Relaxed);
        bin.pops.store(0, Relaxed);
        let room = bin.room.load(Relaxed);
        let pushes = lane.granted.replace(room).wrapping_sub(room);
        lane.popped.add(u64::from(pops));
        lane.pushed.add(u64::from(pushes));
        lane.held.set(lane.held.get().wrapping_add(pushes).wrapping_sub(pops));
        pushes
    }

    /// Sets how many frees may come before the list is settled again.
    fn grant(&self, class: usize) {
        self.grant_within(class, self.blocks_out_unless_owned(class).unwrap_or(u32::MAX));
    }

    /// The same where the bin must be settled after `most` frees: the last of the blocks that are out may be the last that needs
    /// spans that are not bought.
    fn grant_within(&self, class: usize, most: u32) {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        // Settling costs a jump that was not foreseen and some thirty instructions: this spreads them, at the price of a
        // list that may be longer than its limit by as much.
        let least = (SETTLE_BYTES / BLOCK_SIZE[class]).clamp(8, 64);
        let room = lane.limit.get().saturating_sub(lane.held.get()).max(least).min(most).max(1);
        // A new bin is settled after each doubling of its frees: that is when the latest block is looked at.
        let room = room.min(u32::try_from(lane.pushed.get()).unwrap_or(u32::MAX).saturating_add(1));
        lane.granted.set(room);
        bin.room.store(room, Relaxed);
    }

    /// Lets some more frees come before the list is settled, in a signal handler that found a slow path under way.
    fn grant_more(&self, class: usize) {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        lane.granted.set(lane.granted.get().wrapping_add(FREES_IN_HANDLER));
        bin.room.store(bin.room.load(Relaxed).wrapping_add(FREES_IN_HANDLER), Relaxed);
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Before the lock is free: who visits this heap for a span finds it by the page map, and looks there again under the lock.
        self.retired.iter().for_each(refill::mark_freed);
        drop(self.held.take());
        while let Some(span) = self.retired.pop() {
            refill::release(span);
        }
        self.noticed.name();
    }
}

/// Gives all free memory back to the system, with what is cached: this thread's, and that of threads that wait for something.
/// Returns whether there was any.
pub fn trim() -> bool {
    fork::look();
    let _work = Work::begin();
    let mine = flush();
    bell::ask();
    let _turn = turn::wait();
    gaps::open_gaps(true);
    drop(mine);
    limits::ease()
}

/// Gives back all that this thread's heap caches, all that came in for other heaps, and what threads that wait for something
/// keep at hand.
pub fn collect() {
    fork::look();
    let _work = Work::begin();
    let mine = flush();
    bell::ask();
    gaps::open_gaps(true);
    drop(mine);
}

/// Empties this thread's heap, if it has one, and serves all others. The caller holds on to what it gets as long as it visits heaps: a
/// signal handler must keep out meanwhile.
fn flush() -> Option<Working> {
    let mine = Heap::if_there();
    if let Some(heap) = &mine {
        heap.flush_all();
    }
    Heap::all().for_each(Heap::serve);
    mine
}
