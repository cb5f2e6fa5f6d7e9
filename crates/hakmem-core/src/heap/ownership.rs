//! Ownership of heaps: a new thread adopts a heap from the pool or makes one; a thread that exits puts its heap into
//! the pool.
//!
//! # Safety
//! Only the thread that took a heap from the pool acts as its owner, until it puts the heap back.

use super::access::SlowPath;
use super::fork;
use super::layout::{Heap, Status};
use super::registry;
use super::slow_path_mark::SlowPathMark;
use super::this_thread;
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

/// Registers the thread exit hook. Called when the first heap is made; later calls do nothing.
pub fn start() {
    this_thread::call_at_exit(on_thread_exit);
}

/// Returns a heap for this thread to allocate from. `None` in a thread that is exiting, in a signal handler that
/// interrupted a slow path, and when memory is out.
#[cold]
#[inline(never)]
fn attach() -> Option<&'static Heap> {
    fork::repair_if_forked();
    this_thread::heap().or_else(|| if this_thread::is_exiting() || SlowPathMark::is_set() { None } else { adopt() })
}

/// Returns a heap for this thread to free with. `None` also in a thread that has no heap and has freed few blocks so
/// far.
#[cold]
#[inline(never)]
fn attach_for_free() -> Option<&'static Heap> {
    fork::repair_if_forked();
    if this_thread::frees_without_heap() { None } else { attach() }
}

fn adopt() -> Option<&'static Heap> {
    let _mark = SlowPathMark::set();
    let heap = take_heap()?;
    heap.thread.store(thread::id(), Relaxed);
    heap.adoptions.store(heap.adoptions.load(Relaxed).wrapping_add(1), Release);
    heap.reset_budget();
    this_thread::set_heap(heap);
    // This comes after the slot is set: the scavenger concludes that an owner has ended if the owner's slot does not
    // name the heap.
    heap.set_status(Status::Owned);
    registry::note_owned();
    // From here on this thread can allocate, and libc may allocate to arm the hook. If the hook cannot be armed, the
    // scavenger returns the heap to the pool when it finds that the thread has ended.
    this_thread::arm_exit_hook(heap);
    wake_up::note_new_cache();
    Some(heap)
}

/// Takes a heap from the pool, or makes one, and stores the address of this thread's slot in it: a child forked by a
/// signal handler needs to know which thread was taking the heap.
fn take_heap() -> Option<&'static Heap> {
    let heap = find_or_make()?;
    heap.slot_address.store(slot::address(), Release);
    Some(heap)
}

fn find_or_make() -> Option<&'static Heap> {
    fork::repair_if_forked();
    start();
    if let Some(heap) = registry::take_from_pool() {
        heap.settle_orphan();
        return Some(heap);
    }
    let heap = registry::make()?;
    (0..CLASSES).for_each(|class| heap.grant(class));
    registry::add(heap);
    Some(heap)
}

/// Calls `operation` with a heap from the pool, and returns the heap to the pool afterwards. For a thread that is
/// exiting, and for a signal handler that interrupted a slow path of its thread.
#[cold]
pub(super) fn borrow<T>(operation: impl FnOnce(&Heap) -> Option<T>) -> Option<T> {
    let _mark = SlowPathMark::set();
    let heap = take_heap()?;
    // A child forked meanwhile by another thread must not touch the heap.
    heap.busy.store(true, Relaxed);
    let answer = operation(heap);
    heap.busy.store(false, Release);
    heap.slot_address.store(0, Relaxed);
    registry::pool_unowned(heap);
    answer
}

/// Puts the heap of an exiting thread, with its spans, into the pool. Called by libc as the thread exit hook.
unsafe extern "C" fn on_thread_exit(_anchor: *mut c_void) {
    let Some(heap) = Heap::for_slow_path() else { return };
    let _mark = SlowPathMark::set();
    heap.flush_all();
    {
        let _locked = heap.lock_as_owner();
        // Destructors that run after this hook may allocate and free: they borrow a heap.
        this_thread::mark_exiting();
        heap.set_status(Status::Pooled);
    }
    let released = heap.0;
    drop(heap);
    released.slot_address.store(0, Relaxed);
    registry::pool_owned(released);
    demand::note(demand::THREAD_ENDED);
    reclaim::answer(demand::take(demand::QUIET));
}

impl Heap {
    /// Begins a slow path that allocates, in this thread's heap, which is adopted or made if the thread has none.
    /// `None` in a thread that is exiting, in a signal handler that interrupted a slow path, and when memory is out.
    pub(super) fn for_slow_path() -> Option<SlowPath> {
        Heap::begin_with(attach)
    }

    /// Begins a slow path that frees. `None` also in a thread that has no heap and has freed few blocks so far.
    pub(super) fn for_free() -> Option<SlowPath> {
        Heap::begin_with(attach_for_free)
    }

    /// Begins a slow path that neither allocates nor frees. `None` also in a thread that has no heap.
    pub(super) fn if_present() -> Option<SlowPath> {
        fork::repair_if_forked();
        Heap::begin_with(this_thread::heap)
    }

    fn begin_with(attach: fn() -> Option<&'static Heap>) -> Option<SlowPath> {
        let heap = match slot::heap() {
            0 => attach()?,
            anchor => Heap::at_anchor(anchor),
        };
        heap.begin_slow_path()
    }

    /// Begins a slow path of this thread's heap; `None` if the heap is in a slow path already.
    pub(super) fn begin_slow_path(&'static self) -> Option<SlowPath> {
        fork::repair_if_forked();
        if self.status() == Status::Lost {
            // This is a child process, in which the thread that was changing the heap does not exist.
            this_thread::clear();
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
