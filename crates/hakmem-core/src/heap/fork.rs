//! After a fork: how a child process repairs the allocator's state.
//!
//! The child has one thread. The other threads of the parent vanished at an arbitrary instruction, so shared state may
//! be half written:
//!
//! | state | may be | the child |
//! |---|---|---|
//! | a heap's lanes, remote cache, lists | half changed, if it is locked, or its owner is in a slow path or may live on in the child | never touches it again (`Lost`) |
//! | a bin's counts | off by one, since a fast path commits by the store of the list's head | counts again when it takes the heap from the pool |
//! | the heap of the thread that forked | half changed by a visitor under the lock | abandons it and takes another |
//! | the pool | without a heap that a vanished thread was taking | fills it with all intact heaps that have no owner |
//! | the medium cache of a vanished thread | intact or half changed | releases its blocks, which it finds by the page map: `segment::after_fork_in_child` |
//! | slabs | claimed, and not yet used or not yet released | releases those that hold nothing: `segment::after_fork_in_child` |
//! | the bitmaps of segments with room | older than the segment's word | publishes again |
//! | cached mappings | out of their slots, held by a vanished thread | puts them back: `large_cache::after_fork_in_child` |
//! | a span whose holes are being opened | unfinished | finishes it |
//! | sums (memory accounting, dirty slabs, cached bytes, bought spans, owned heaps) | different from what they sum up | computes them again |
//! | the purge lock, the lock of the policy, the lock of the exit hook, the wake-up word, the scavenger | held by a vanished thread | frees them; the scavenger starts again when it is needed |
//!
//! The child cannot recover everything. For each vanished thread, these stay lost:
//!
//! | lost | at most |
//! |---|---|
//! | a heap that is `Lost` | its spans, even after the program frees all blocks in them |
//! | blocks on their way to another heap | a chain: 64 blocks or 32 KiB, as policy says, and the spans that they keep in use |
//! | a block that was being allocated or freed | one |
//! | a large mapping in a system call, which may be unmapped or reused by another thread already | one |
//! | a segment that was being mapped or unmapped | 2 MiB of addresses |
//!
//! A signal handler may interrupt a slow path of its own thread and fork; in the child that slow path continues when
//! the handler returns. So the child does not touch state that the slow path may be using: the thread's heap; a heap
//! that it adopts or borrows, which names the thread's slot; the slabs, the cached mappings, the lock of the policy, and the
//! heaps in the pool, to which it adds those of vanished threads. All
//! of these are intact except for what vanished threads held, and in such a child this stays lost too: for each
//! vanished thread the slabs of one claim, or those of one segment if it was purging, one or two cached mappings, a heap
//! of the pool, the blocks of its medium cache, the spans whose holes it was opening (16), and what it had not yet added to a sum.
//!
//! No lock is held across a fork, and no handler is registered for the parent.
//!
//! `fork` calls the handler in the child. `_Fork` and `clone` call no handler: their children are repaired in their
//! first slow path, before they touch shared state.
//!
//! # Safety
//! No other thread runs in the allocator while a child is repaired: a new thread takes a slow path first, and waits
//! there.

use super::cache_budget;
use super::counters::hole_bytes;
use super::entry::owner_of;
use super::holes;
use super::layout::{Heap, Locked, Status};
use super::registry;
use super::slow_path_mark::SlowPathMark;
use super::this_thread;
use crate::backend::availability;
use crate::backend::large_cache;
use crate::backend::segment::{self, Segment};
use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB, SLABS};
use crate::base::wake_up;
use crate::map::metadata;
use crate::reclaim::limits;
use crate::reclaim::purge_lock;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::{fork, slot, thread};

/// Repairs a child that was made without fork handlers. Costs two loads in any other process.
#[inline]
pub(super) fn repair_if_forked() {
    if fork::is_unsettled() {
        repair_late();
    }
}

#[cold]
#[inline(never)]
fn repair_late() {
    fork::settle_once(|| {
        let mine = this_thread::heap();
        if let Some(heap) = mine {
            // The C library may still return the parent's thread number here, so the number is unknown.
            heap.thread.store(0, Relaxed);
        }
        // A thread without a heap may have been started in the child by the thread that forked, which then owns one of
        // the heaps.
        repair(mine, mine.is_some());
    });
}

/// Repairs a child of `fork`, in which this is the only thread.
pub extern "C" fn after_fork_in_child() {
    fork::settle_in_child(|| repair(this_thread::heap(), true));
    if let Some(heap) = this_thread::heap() {
        heap.thread.store(thread::id(), Relaxed);
    }
}

/// Repairs a child in which `mine` is this thread's heap. `others_have_ended` says that no other thread of the child
/// owns a heap; if that is not known, the heaps that have an owner are lost.
fn repair(mine: Option<&'static Heap>, others_have_ended: bool) {
    // In a signal handler that interrupted a slow path, the slow path is unfinished and continues later.
    let in_slow_path = SlowPathMark::is_set() || mine.is_some_and(|heap| heap.busy.load(Relaxed));
    wake_up::disable_in_child();
    purge_lock::after_fork_in_child();
    this_thread::after_fork_in_child();
    if !in_slow_path {
        limits::after_fork_in_child();
        registry::empty_pool();
    }
    for heap in Heap::all() {
        let is_mine = mine.is_some_and(|mine| ptr::eq(mine, heap));
        let is_being_taken = in_slow_path && !is_mine && heap.slot_address.load(Relaxed) == slot::address();
        if !is_being_taken {
            let was_pooled = heap.status() == Status::Pooled;
            heap.set_status_in_child(is_mine, others_have_ended);
            if heap.status() == Status::Pooled && !(in_slow_path && was_pooled) {
                registry::pool_unowned(heap);
            }
        }
    }
    registry::count_owned(Heap::all().filter(|heap| !matches!(heap.status(), Status::Pooled | Status::Lost)).count());
    let mine = mine.filter(|heap| heap.status() != Status::Lost);
    if mine.is_none() {
        this_thread::clear_heap();
    }
    segment::after_fork_in_child(in_slow_path, |span| mine.is_some_and(|heap| heap.medium_cache.holds_span(span)));
    if !in_slow_path {
        finish_openings();
        large_cache::after_fork_in_child();
        cache_budget::after_fork_in_child();
        recount();
    }
    wake_up::after_fork_in_child();
}

fn recount() {
    let (mut segments, mut dirty, mut used) = (0, 0, 0);
    for state in segment::mapped().map(Segment::state) {
        segments += 1;
        dirty += state.dirty.count_ones() as usize;
        used += (SLABS - (state.free & !state.dirty).count_ones() as usize) * SLAB;
    }
    availability::recount(segments, dirty);
    let mapped = large_cache::extent().mapped + metadata::mapped();
    accounting::recount(segments * SEGMENT + mapped, used + mapped - hole_bytes() as usize);
}

/// Finishes the opening of holes in spans whose pages were being purged.
fn finish_openings() {
    if holes::take_openings() == 0 {
        return;
    }
    for (segment, slab) in segment::mapped().flat_map(|segment| (0..SLABS).map(move |slab| (segment, slab))) {
        let span = &segment.spans[slab];
        if let Some(heap) = owner_of(segment, slab)
            && span.is_purging()
            && heap.status() != Status::Lost
        {
            let locked: Locked = heap.lock_as_visitor();
            span.end_purge();
            locked.list_or_retire(span);
        }
    }
}

impl Heap {
    /// Sets the heap's status in the child: unchanged for this thread's own heap, `Pooled` for an intact heap of
    /// another thread, `Lost` for a heap that may be half changed.
    fn set_status_in_child(&'static self, is_mine: bool, others_have_ended: bool) {
        let owned = !matches!(self.status(), Status::Pooled | Status::Lost);
        let half_changed = if is_mine {
            self.lock.is_held_by_visitor()
        } else {
            self.lock.is_held() || self.busy.load(Relaxed) || owned && !others_have_ended
        };
        if half_changed {
            self.set_status(Status::Lost);
            self.budget.forget();
        } else if !is_mine && self.status() != Status::Lost {
            if owned {
                self.orphan.store(true, Relaxed);
            }
            self.slot_address.store(0, Relaxed);
            self.medium_cache.forget();
            self.set_status(Status::Pooled);
        }
    }
}
