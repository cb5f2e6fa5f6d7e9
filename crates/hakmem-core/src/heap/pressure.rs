//! The ends of slow paths: what allocation does when memory is out, or a limit wants to be seen to.
//!
//! It comes last, when no lock is held and no slow path of the thread's heap is under way: from here the program's own function
//! may be called, which may allocate and free.

use super::layout::Heap;
use super::trim::collect;
use crate::backend::large_cache;
use crate::backend::purge::Purge;
use crate::backend::slabs;
use crate::base::accounting;
use crate::reclaim::limits;
use crate::reclaim::purge_lock;
use hakmem_os::atomic::{AtomicU64, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// Milliseconds between two times that all threads are looked at, which takes system calls for each: a program may go on
/// asking for what it cannot have.
const BETWEEN_MS: u64 = 50;
static LAST_COLLECTED: AtomicU64 = AtomicU64::new(0);

/// The answer of `allocate`. Where memory is out, all that is free is given back, and then the program is asked to free
/// something; after each, `allocate` is asked again.
#[inline]
pub(super) fn attended<T>(allocate: impl Fn() -> Option<T>) -> Option<T> {
    let found = allocate();
    if found.is_none() {
        return try_again(allocate);
    }
    attend();
    found
}

#[cold]
#[inline(never)]
fn try_again<T>(allocate: impl Fn() -> Option<T>) -> Option<T> {
    give_back();
    let before = accounting::refusals();
    let found = allocate();
    if found.is_none() && limits::tell_of_failure(accounting::refusals() != before) { allocate() } else { found }
}

/// Sees to a limit that was reached or to a new peak, if there is one. One load where there is none.
#[inline]
pub fn attend() {
    if accounting::demanded() {
        see_to_demand();
    }
}

#[cold]
#[inline(never)]
fn see_to_demand() {
    let demand = accounting::take_demand();
    if demand & accounting::LIMIT != 0 {
        give_back();
        limits::tighten();
        limits::tell();
    } else if demand & accounting::NEW_PEAK != 0
        && let Some(_turn) = purge_lock::take()
    {
        // What was used since the peak before this one is likely to be used again.
        slabs::purge(Purge::Aged);
        large_cache::release(Purge::Aged);
    }
}

/// Gives back all that is free: what this thread and those that wait have at hand, what came in for others, and the memory
/// behind it all.
fn give_back() {
    let now = (kernel().now)();
    if now.wrapping_sub(LAST_COLLECTED.swap(now, Relaxed)) >= BETWEEN_MS {
        collect();
    } else if let Some(heap) = Heap::for_slow_path() {
        heap.flush_all();
    }
    limits::ease();
}
