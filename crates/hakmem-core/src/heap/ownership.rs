//! Heaps change hands: a new thread adopts one from the pool or makes one; a thread that ends leaves its own there.
//!
//! # Safety
//! Only the thread that took a heap off the pool acts as its owner, until it puts the heap back.

use super::access::SlowPath;
use super::fork;
use super::layout::{Heap, Status};
use super::registry;
use super::this_thread;
use super::work::Work;
use crate::base::demand;
use crate::base::sizes::CLASSES;
use crate::base::wake_up;
use crate::reclaim;
use core::ffi::c_void;
use hakmem_os::atomic::{
    Ordering::{Relaxed, Release, SeqCst},
    compiler_fence,
};
use hakmem_os::slot;
use hakmem_os::thread;

/// Registers the hook at thread exit. Called with the first heap; more calls do nothing.
pub fn start() {
    this_thread::call_at_exit(leave);
}

/// A heap for this thread to allocate from; `None` if the thread is exiting, in a signal handler that interrupted a slow path, or memory
/// is out.
#[cold]
#[inline(never)]
fn attach() -> Option<&'static Heap> {
    fork::settle_if_forked();
    this_thread::heap().or_else(|| if this_thread::is_exiting() || Work::is_under_way() { None } else { adopt() })
}

/// A heap for this thread to free with; `None` also where it has none and has freed little so far.
#[cold]
#[inline(never)]
fn attach_to_free() -> Option<&'static Heap> {
    fork::settle_if_forked();
    if this_thread::frees_without_heap() { None } else { attach() }
}

fn adopt() -> Option<&'static Heap> {
    let _work = Work::begin();
    let heap = take()?;
    heap.thread.store(thread::id(), Relaxed);
    heap.adoptions.store(heap.adoptions.load(Relaxed).wrapping_add(1), Release);
    heap.start_small();
    this_thread::set_heap(heap);
    // After the slot: the scavenger takes a heap for that of a thread which is gone if the slot does not name it.
    heap.set_status(Status::Owned);
    registry::note_owned();
    // From here on this thread can allocate, which libc may do now. Without the hook the heap is given back when the scavenger finds
    // the thread gone.
    this_thread::arm_exit_hook(heap);
    wake_up::note_new_cache();
    Some(heap)
}

/// Takes a heap from the pool, or makes one. It says in whose hands it is, which a child forked by a signal handler has to know.
fn take() -> Option<&'static Heap> {
    let heap = find()?;
    heap.place.store(slot::address(), Release);
    Some(heap)
}

fn find() -> Option<&'static Heap> {
    fork::settle_if_forked();
    start();
    if let Some(heap) = registry::take_from_pool() {
        heap.settle_orphan();
        return Some(heap);
    }
    let heap = registry::make()?;
    (0..CLASSES).for_each(|class| heap.grant(class));
    registry::list(heap);
    Some(heap)
}

/// Runs `work` with a heap of the pool: for a thread that is exiting, and for a signal handler in the middle of its
/// thread's slow path. Nothing is left behind, however often it is done.
#[cold]
pub(super) fn borrow<T>(work: impl FnOnce(&Heap) -> Option<T>) -> Option<T> {
    let _work = Work::begin();
    let heap = take()?;
    // A child forked meanwhile must not touch it.
    heap.busy.store(true, Relaxed);
    let answer = work(heap);
    heap.busy.store(false, Release);
    heap.place.store(0, Relaxed);
    registry::return_to_pool(heap);
    answer
}

/// Called by libc when a thread exits: its heap, with all its spans, waits for the next thread.
unsafe extern "C" fn leave(_anchor: *mut c_void) {
    let Some(heap) = Heap::for_slow_path() else { return };
    let _work = Work::begin();
    heap.flush_all();
    {
        let _locked = heap.lock_as_owner();
        // Destructors that run after this one may allocate and free: they borrow.
        this_thread::end();
        heap.set_status(Status::Pooled);
    }
    let left = heap.0;
    drop(heap);
    left.place.store(0, Relaxed);
    registry::put_into_pool(left);
    demand::note(demand::THREAD_ENDED);
    reclaim::answer(demand::take(demand::QUIET));
}

impl Heap {
    /// This thread's heap for a slow path that allocates: made or adopted if need be. `None` for a thread that is exiting, for a
    /// signal handler that interrupted a slow path, and where memory is out.
    pub(super) fn for_slow_path() -> Option<SlowPath> {
        Heap::begin_with(attach)
    }

    /// The same for one that frees: a thread that has none, and has none to gain by that, goes without.
    pub(super) fn to_free() -> Option<SlowPath> {
        Heap::begin_with(attach_to_free)
    }

    /// The same for one that does neither: `None` also where this thread has no heap.
    pub(super) fn if_there() -> Option<SlowPath> {
        fork::settle_if_forked();
        Heap::begin_with(this_thread::heap)
    }

    fn begin_with(attach: fn() -> Option<&'static Heap>) -> Option<SlowPath> {
        let heap = match slot::heap() {
            0 => attach()?,
            anchor => Heap::at_anchor(anchor),
        };
        heap.begin_slow_path()
    }

    /// Begins a slow path of this thread's heap, unless one is under way.
    pub(super) fn begin_slow_path(&'static self) -> Option<SlowPath> {
        fork::settle_if_forked();
        if self.status() == Status::Lost {
            // In a child: whoever was at work on it is not there to end that.
            this_thread::forget();
            return attach()?.begin_slow_path();
        }
        if self.busy.load(Relaxed) {
            return None;
        }
        self.busy.store(true, Relaxed);
        compiler_fence(SeqCst);
        if self.status() != Status::Owned || slot::heap() == 0 {
            self.come_back();
            self.age_if_due();
        }
        Some(SlowPath(self))
    }
}
