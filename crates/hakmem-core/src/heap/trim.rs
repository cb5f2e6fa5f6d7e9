//! Releasing everything on request: flushes this thread's heap and those of waiting threads, drains all inboxes, and
//! purges free memory.

use super::access::SlowPath;
use super::fork;
use super::holes;
use super::layout::Heap;
use super::slow_path_mark::SlowPathMark;
use crate::base::wake_up;
use crate::reclaim::purge::purge_everything;
use crate::reclaim::purge_lock;

/// Releases all free memory to the system, including the caches of this thread and of waiting threads. Returns whether
/// any was released.
pub fn trim() -> bool {
    fork::repair_if_forked();
    let _mark = SlowPathMark::set();
    let mine = flush();
    wake_up::request_flush();
    let _purge_lock = purge_lock::wait();
    holes::open_holes(true);
    drop(mine);
    purge_everything()
}

/// Flushes this thread's heap and the heaps of waiting threads, drains the inboxes of all heaps, and opens holes in all
/// spans.
pub fn collect() {
    fork::repair_if_forked();
    let _mark = SlowPathMark::set();
    let mine = flush();
    wake_up::request_flush();
    holes::open_holes(true);
    drop(mine);
}

/// Flushes this thread's heap, if it has one, and drains the inboxes of all others. The caller keeps the returned slow
/// path alive as long as it visits heaps, so that a signal handler does not use the heap meanwhile.
fn flush() -> Option<SlowPath> {
    let mine = Heap::if_present();
    if let Some(heap) = &mine {
        heap.flush_all();
    }
    Heap::all().for_each(Heap::drain_if_free);
    mine
}
