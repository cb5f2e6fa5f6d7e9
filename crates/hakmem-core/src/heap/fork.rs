//! After a fork: what a child puts right.
//!
//! A child has one thread. The others vanished at any instruction, so whatever threads share may be half written there:
//!
//! | what | may be | the child |
//! |---|---|---|
//! | a heap's lanes, routes, lists, shelf | half changed, while it is locked or its owner is in a slow path | never touches it again (`Lost`) |
//! | a bin's counts | one off, since a fast path commits by the store of the list's head | counts anew when it takes the heap from the pool |
//! | the heap of the thread that forked | at work under the lock of a visitor | leaves it behind and takes another |
//! | the pool | short of a heap that was in somebody's hands | fills it with all heaps that are whole and have no owner |
//! | a shelf of a thread that is gone | whole or half changed | releases its blocks, which the page map knows |
//! | slabs | claimed, and not yet used, or to be released | releases those that hold nothing: `segment::after_fork_in_child` |
//! | the bitmaps of segments with room | behind the segment's word | publishes again |
//! | kept mappings | out of their slots, in somebody's hands | puts them back: `large_cache::after_fork_in_child` |
//! | a span whose gaps are being opened | without the end of that | ends it |
//! | sums (footprint, dirty slabs, kept bytes, bought spans, owned heaps) | behind what they sum up | counts anew |
//! | the turn, the lock of the policy, the bell, the scavenger | somebody's who is gone | frees them; the scavenger starts anew when it is needed |
//!
//! What cannot be told apart stays lost, for each thread that is gone in the middle of it:
//!
//! | what stays lost | at most |
//! |---|---|
//! | a heap that is set aside | the spans that it had, also as the program frees the blocks in them |
//! | blocks on their way to another heap | a chain: 64 blocks or 32 KiB, as policy says, and the spans that these keep in use |
//! | a block that was being handed out or taken back | one |
//! | a large mapping at which the kernel was at work, which may be unmapped, or somebody else's already | one |
//! | a segment that was being mapped or unmapped | 2 MiB of addresses |
//!
//! A signal handler may fork in the middle of a slow path of its own thread, which goes on in the child when the handler returns. So what
//! that thread may have in its hands is left alone: its heap, or the heap that it adopts or borrows, which says whose hands these are; the
//! pool, the slabs, the kept mappings and the sums, which are whole but for what threads that are gone had in their hands. In such a child that
//! stays lost, too: of each thread the slabs of one claim, or those of one segment if it was giving memory back, a kept mapping or two,
//! a heap of the pool, the spans whose gaps it was opening (16), and what it had not yet added to a sum.
//!
//! No lock is held across a fork, and nothing is registered for the parent.
//!
//! `fork` calls the handler. Children of `_Fork` and `clone`, which call none, are put right when they first come to a slow path,
//! before they touch anything that is shared.
//!
//! # Safety
//! Nobody else runs in the allocator while a child is put right: other threads come to a slow path first, and wait there.

use super::cache_budget;
use super::counters::gone_bytes;
use super::entry::owner_of;
use super::holes;
use super::layout::{Heap, Locked, Status};
use super::registry;
use super::this_thread;
use super::work::Work;
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

/// Puts a child right that was made without handlers. One load where this is none.
#[inline]
pub(super) fn settle_if_forked() {
    if fork::is_unsettled() {
        settle_late();
    }
}

#[cold]
#[inline(never)]
fn settle_late() {
    fork::settle_once(|| {
        let mine = this_thread::heap();
        if let Some(heap) = mine {
            // The C library may not know this thread by its new number.
            heap.thread.store(0, Relaxed);
        }
        // A thread without a heap may be one that the thread which forked has made: then one of the heaps is that one's.
        settle(mine, mine.is_some());
    });
}

/// Puts a child of `fork` right, in which this is the only thread.
pub extern "C" fn after_fork_in_child() {
    fork::settle_in_child(|| settle(this_thread::heap(), true));
    if let Some(heap) = this_thread::heap() {
        heap.thread.store(thread::id(), Relaxed);
    }
}

/// Puts a child right in which `mine` is this thread's heap. Heaps that others owned are nobody's, if that is `sure`.
fn settle(mine: Option<&'static Heap>, sure: bool) {
    // In a signal handler that interrupted a slow path this thread's own work is half done too, and goes on later.
    let in_slow_path = Work::is_under_way() || mine.is_some_and(|heap| heap.busy.load(Relaxed));
    wake_up::disable_in_child();
    purge_lock::after_fork_in_child();
    this_thread::after_fork_in_child();
    if !in_slow_path {
        limits::after_fork_in_child();
        registry::empty_pool();
    }
    for heap in Heap::all() {
        let is_mine = mine.is_some_and(|mine| ptr::eq(mine, heap));
        let is_in_hand = in_slow_path && !is_mine && heap.place.load(Relaxed) == slot::address();
        if !is_in_hand {
            let was_pooled = heap.status() == Status::Pooled;
            heap.leave_or_lose(is_mine, sure);
            if heap.status() == Status::Pooled && !(in_slow_path && was_pooled) {
                registry::return_to_pool(heap);
            }
        }
    }
    registry::count_owned(Heap::all().filter(|heap| !matches!(heap.status(), Status::Pooled | Status::Lost)).count());
    let mine = mine.filter(|heap| heap.status() != Status::Lost);
    if mine.is_none() {
        this_thread::forget_heap();
    }
    segment::after_fork_in_child(in_slow_path, |span| mine.is_some_and(|heap| heap.medium_cache.has(span)));
    if !in_slow_path {
        end_openings();
        large_cache::after_fork_in_child();
        cache_budget::after_fork_in_child();
        count_anew();
    }
    wake_up::after_fork_in_child();
}

fn count_anew() {
    let (mut segments, mut dirty, mut used) = (0, 0, 0);
    for state in segment::mapped().map(Segment::state) {
        segments += 1;
        dirty += state.dirty.count_ones() as usize;
        used += (SLABS - (state.free & !state.dirty).count_ones() as usize) * SLAB;
    }
    availability::count_anew(segments, dirty);
    let mapped = large_cache::extent().mapped + metadata::mapped();
    accounting::recount(segments * SEGMENT + mapped, used + mapped - gone_bytes() as usize);
}

/// Ends what was begun to spans whose pages were on their way to the system.
fn end_openings() {
    if holes::forget_openings() == 0 {
        return;
    }
    for (segment, slab) in segment::mapped().flat_map(|segment| (0..SLABS).map(move |slab| (segment, slab))) {
        let span = &segment.spans[slab];
        if let Some(heap) = owner_of(segment, slab)
            && span.is_opening()
            && heap.status() != Status::Lost
        {
            let locked: Locked = heap.lock_as_visitor();
            span.opened();
            locked.list_or_retire(span);
        }
    }
}

impl Heap {
    /// Makes of this heap what it is in the child: this thread's as before, one for the pool, or one that nobody touches again.
    fn leave_or_lose(&'static self, is_mine: bool, sure: bool) {
        let owned = !matches!(self.status(), Status::Pooled | Status::Lost);
        let half_changed = if is_mine {
            self.lock.is_held_by_visitor()
        } else {
            self.lock.is_held() || self.busy.load(Relaxed) || owned && !sure
        };
        if half_changed {
            self.set_status(Status::Lost);
            self.budget.forget();
        } else if !is_mine && self.status() != Status::Lost {
            if owned {
                self.orphan.store(true, Relaxed);
            }
            self.place.store(0, Relaxed);
            self.medium_cache.forget();
            self.set_status(Status::Pooled);
        }
    }
}
