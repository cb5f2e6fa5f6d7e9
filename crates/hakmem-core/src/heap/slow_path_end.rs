//! The end of slow paths: tries again when memory is out, and answers pending demands, such as a limit that was
//! reached.
//!
//! This comes last, when the thread holds no lock and its heap is in no slow path: the program's own function may be
//! called from here, and may allocate and free.

use super::counters::live_bytes;
use super::fork;
use super::layout::Heap;
use super::slow_path_mark::SlowPathMark;
use super::trim::collect;
use crate::base::accounting;
use crate::base::demand;
use crate::base::sizes::{MEDIUM_MAX, SEGMENT};
use crate::map::metadata;
use crate::reclaim;
use crate::reclaim::limits;
use crate::reclaim::purge::purge_everything;
use hakmem_os::atomic::{AtomicU64, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// The shortest time between two collections of all threads' heaps, in milliseconds. A collection makes system calls
/// for each thread, and a program may repeat a request that cannot be met.
const COLLECT_INTERVAL_MS: u64 = 50;
static LAST_COLLECTED: AtomicU64 = AtomicU64::new(0);

/// Returns the result of `allocate`, which allocates `size` bytes. If it fails, all free memory is released and
/// `allocate` is called again; if that fails too, the program's function is called and `allocate` is called a last
/// time. A step that cannot help is left out.
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
    // Mapped memory without metadata: no more than this can be released, whatever the program frees.
    let blocks = accounting::mapped().saturating_sub(metadata::mapped());
    if !may_help(size, blocks) {
        limits::note_failure(at_limit());
        return None;
    }
    // Other threads change the counts while they are added up, so the difference may be negative.
    let idle = blocks.checked_sub(live_bytes()).unwrap_or(blocks);
    if may_help(size, idle) {
        flush_and_purge();
        let found = allocate();
        if found.is_some() {
            return found;
        }
    }
    limits::note_failure(at_limit());
    if limits::notify_of_failure(at_limit()) { allocate() } else { None }
}

/// Whether a refused request for `size` bytes may succeed after `given` bytes were released.
fn may_help(size: usize, given: usize) -> bool {
    // A small or medium block may find room in segments that are mapped already.
    size <= given.min(MEDIUM_MAX) || accounting::could_have(if size > MEDIUM_MAX { size } else { SEGMENT }, given)
}

/// Answers pending demands. Costs one load if there are none.
#[inline]
pub fn answer_demand() {
    answer_demand_of(demand::ANY);
}

/// Answers pending demands at the end of a free, where the program's function must not be called.
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
    fork::repair_if_forked();
    let demand = demand::take(which);
    if demand & demand::LIMIT != 0 {
        flush_caches();
    }
    {
        // A signal handler, and a child that it forks, must not touch memory that is being released.
        let _slow_path = Heap::if_present();
        let _mark = SlowPathMark::set();
        reclaim::answer(demand);
    }
    if demand & demand::LIMIT != 0 {
        limits::notify();
    }
}

/// Releases all free memory: flushes the caches of this thread and of waiting threads, drains the inboxes, and purges.
fn flush_and_purge() {
    let _mark = SlowPathMark::set();
    flush_caches();
    purge_everything();
}

/// Flushes this thread's caches. Also flushes those of all waiting threads, unless that was done less than
/// [`COLLECT_INTERVAL_MS`] ago.
fn flush_caches() {
    let now = (kernel().now)();
    if now.wrapping_sub(LAST_COLLECTED.swap(now, Relaxed)) >= COLLECT_INTERVAL_MS {
        collect();
    } else if let Some(heap) = Heap::for_slow_path() {
        heap.flush_all();
    }
}
