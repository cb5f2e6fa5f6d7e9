//! The ends of slow paths: what allocation does when memory is out, or a limit wants to be seen to.
//!
//! It comes last, when no lock is held and no slow path of the thread's heap is under way: from here the program's own function
//! may be called, which may allocate and free.

use super::counters::live_bytes;
use super::fork;
use super::layout::Heap;
use super::trim::collect;
use super::work::Work;
use crate::base::accounting;
use crate::base::demand;
use crate::base::sizes::{MEDIUM_MAX, SEGMENT};
use crate::map::metadata;
use crate::reclaim;
use crate::reclaim::limits;
use crate::reclaim::purge::everything;
use hakmem_os::atomic::{AtomicU64, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// Milliseconds between two times that all threads are looked at, which takes system calls for each: a program may go on
/// asking for what it cannot have.
const BETWEEN_MS: u64 = 50;
static LAST_COLLECTED: AtomicU64 = AtomicU64::new(0);

/// The answer of `allocate`, which is asked for `size` bytes. Where memory is out, all that is free is given back, and then the program
/// is asked to free something; after each, `allocate` is asked again. What would not help is not done.
#[inline]
pub(super) fn allocate_or_retry<T>(size: usize, allocate: impl Fn() -> Option<T>) -> Option<T> {
    let refusals = accounting::refusals();
    let found = allocate();
    if found.is_none() {
        return try_again(size, refusals, allocate);
    }
    answer_demand();
    found
}

#[cold]
#[inline(never)]
fn try_again<T>(size: usize, refusals: usize, allocate: impl Fn() -> Option<T>) -> Option<T> {
    let at_limit = || accounting::refusals() != refusals;
    // All that is not metadata: more cannot go back, whatever the program does.
    let blocks = accounting::mapped().saturating_sub(metadata::mapped());
    if !is_worth(size, blocks) {
        limits::note_failure(at_limit());
        return None;
    }
    // Other threads go on while it is counted what is live: what comes out may be no number.
    let idle = blocks.checked_sub(live_bytes()).unwrap_or(blocks);
    if is_worth(size, idle) {
        flush_and_purge();
        let found = allocate();
        if found.is_some() {
            return found;
        }
    }
    limits::note_failure(at_limit());
    if limits::tell_of_failure(at_limit()) { allocate() } else { None }
}

/// Whether to give `given` bytes back may help a request for `size` bytes that was refused.
fn is_worth(size: usize, given: usize) -> bool {
    // What is no mapping of its own may find room in what is mapped already.
    size <= given.min(MEDIUM_MAX) || accounting::could_have(if size > MEDIUM_MAX { size } else { SEGMENT }, given)
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
    fork::settle_if_forked();
    let demand = demand::take(which);
    if demand & demand::LIMIT != 0 {
        flush_caches();
    }
    {
        // A signal handler must keep out of what is half given back, and so must a child that it forks.
        let _slow_path = Heap::if_there();
        let _work = Work::begin();
        reclaim::answer(demand);
    }
    if demand & demand::LIMIT != 0 {
        limits::tell();
    }
}

/// Gives back all that is free: what this thread and those that wait have at hand, what came in for others, and the memory
/// behind it all.
fn flush_and_purge() {
    let _work = Work::begin();
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
