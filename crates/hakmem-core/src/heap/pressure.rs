//! The ends of slow paths: what allocation does when memory is out, or a limit wants to be seen to.
//!
//! It comes last, when no lock is held and no slow path of the thread's heap is under way: from here the program's own function
//! may be called, which may allocate and free.

use super::layout::Heap;
use super::trim::collect;
use crate::base::accounting;
use crate::base::demand;
use crate::reclaim;
use crate::reclaim::limits;
use crate::reclaim::purge::everything;
use hakmem_os::atomic::{AtomicU64, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// Milliseconds between two times that all threads are looked at, which takes system calls for each: a program may go on
/// asking for what it cannot have.
const BETWEEN_MS: u64 = 50;
static LAST_COLLECTED: AtomicU64 = AtomicU64::new(0);

/// The answer of `allocate`. Where memory is out, all that is free is given back, and then the program is asked to free
/// something; after each, `allocate` is asked again.
#[inline]
pub(super) fn allocate_or_retry<T>(allocate: impl Fn() -> Option<T>) -> Option<T> {
    let found = allocate();
    if found.is_none() {
        return try_again(allocate);
    }
    answer_demand();
    found
}

#[cold]
#[inline(never)]
fn try_again<T>(allocate: impl Fn() -> Option<T>) -> Option<T> {
    flush_and_purge();
    let before = accounting::refusals();
    let found = allocate();
    if found.is_none() && limits::tell_of_failure(accounting::refusals() != before) { allocate() } else { found }
}

/// Has what slow paths noticed answered, if there is something. One load where there is nothing.
#[inline]
pub fn answer_demand() {
    answer_demand_of(demand::ANY);
}

/// The same at the end of a free, where the program's function must not be called.
#[inline]
pub(super) fn answer_quiet_demand() {
    answer_demand_of(demand::QUIET);
}

#[inline]
fn answer_demand_of(which: u32) {
    if demand::is_pending(which) {
        answer_pending(which);
    }
}

#[cold]
#[inline(never)]
fn answer_pending(which: u32) {
    let demand = demand::take(which);
    if demand & demand::LIMIT != 0 {
        flush_caches();
    }
    {
        // A signal handler must keep out of what is half given back.
        let _slow_path = Heap::if_there();
        reclaim::answer(demand);
    }
    if demand & demand::LIMIT != 0 {
        limits::tell();
    }
}

/// Gives back all that is free: what this thread and those that wait have at hand, what came in for others, and the memory
/// behind it all.
fn flush_and_purge() {
    flush_caches();
    everything();
}

/// Flushes this thread's caches and, if that was not done a moment ago, those of all threads that wait for something.
fn flush_caches() {
    let now = (kernel().now)();
    if now.wrapping_sub(LAST_COLLECTED.swap(now, Relaxed)) >= BETWEEN_MS {
        collect();
    } else if let Some(heap) = Heap::for_slow_path() {
        heap.flush_all();
    }
}
