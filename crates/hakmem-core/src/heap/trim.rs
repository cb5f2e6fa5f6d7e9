//! Everything goes back: what this thread keeps at hand, what other threads sent, what threads that wait for something keep at hand, and
//! then the memory behind it all.

use super::access::SlowPath;
use super::fork;
use super::holes;
use super::layout::Heap;
use super::work::Work;
use crate::base::wake_up;
use crate::reclaim::purge::everything;
use crate::reclaim::purge_lock;

/// Gives all free memory back to the system, with what is cached: this thread's, and that of threads that wait for something.
/// Returns whether there was any.
pub fn trim() -> bool {
    fork::settle_if_forked();
    let _work = Work::begin();
    let mine = flush();
    wake_up::request_flush();
    let _lock = purge_lock::wait();
    holes::open_holes(true);
    drop(mine);
    everything()
}

/// Gives back all that this thread's heap caches, all that came in for other heaps, and what threads that wait for something
/// keep at hand.
pub fn collect() {
    fork::settle_if_forked();
    let _work = Work::begin();
    let mine = flush();
    wake_up::request_flush();
    holes::open_holes(true);
    drop(mine);
}

/// Empties this thread's heap, if it has one, and serves all others. The caller holds on to what it gets as long as it visits heaps: a
/// signal handler must keep out meanwhile.
fn flush() -> Option<SlowPath> {
    let mine = Heap::if_there();
    if let Some(heap) = &mine {
        heap.flush_all();
    }
    Heap::all().for_each(Heap::drain_if_free);
    mine
}
