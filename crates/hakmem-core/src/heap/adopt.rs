//! Heaps change hands: a new thread adopts one from the pool or makes one, an exiting thread leaves its own there.
//!
//! # Safety
//! Only the thread that took a heap off the pool acts as its owner, until it puts it back.

use super::{Big, GROUND, Heap, Status, Tally, allowance};
use crate::bell;
use crate::decay;
use crate::meta;
use crate::pagemap;
use crate::pages;
use crate::segment;
use crate::sizes::CLASSES;
use crate::sync::Stack;
use crate::turn;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use hakmem_os::futex::Lock;
use hakmem_os::slot;
use hakmem_os::task;
use hakmem_os::thread::ExitHook;

static POOL: Stack<Heap> = Stack::new();
static NEWEST: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());
static EXIT: ExitHook = ExitHook::new();
static START: Lock = Lock::new();
static STARTED: AtomicBool = AtomicBool::new(false);

/// Heaps that threads own.
static OWNED: AtomicUsize = AtomicUsize::new(0);

/// The slot's state word holds the anchor of this thread's heap, for when the other words were cleared; or this, once its heap is
/// gone for good.
const EXITING: usize = 1;

/// Readies the process: the page map, the hook at thread exit. Called with the first heap; more calls do nothing.
pub fn start() {
    let _one_at_a_time = START.lock();
    if !STARTED.load(Relaxed) {
        pagemap::start();
        EXIT.register(leave);
        STARTED.store(true, Release);
    }
}

/// Every heap ever made, latest first.
pub(super) fn all() -> impl Iterator<Item = &'static Heap> {
    let mut at = NEWEST.load(Acquire);
    core::iter::from_fn(move || {
        // SAFETY: null or a heap, which lives for ever.
        let heap = unsafe { at.as_ref() }?;
        at = heap.older.load(Relaxed);
        Some(heap)
    })
}

/// A heap for this thread; `None` if it is exiting or memory is out.
#[cold]
#[inline(never)]
pub(super) fn attach() -> Option<&'static Heap> {
    match slot::state() {
        0 => {}
        EXITING => return None,
        anchor => return Some(Heap::at_anchor(anchor)),
    }
    let heap = take()?;
    heap.thread.store(task::id(), Relaxed);
    heap.set_status(Status::Owned);
    OWNED.fetch_add(1, Relaxed);
    heap.start_small();
    slot::set_state(heap.anchor());
    slot::set_distance((&raw const heap.bins as usize).wrapping_sub(&raw const GROUND as usize));
    slot::set_heap(heap.anchor());
    // From here on this thread can allocate, which libc may do now.
    if EXIT.arm(heap.anchor()) {
        heap.place.store(slot::address(), Release);
    }
    bell::tell();
    Some(heap)
}

fn take() -> Option<&'static Heap> {
    if !STARTED.load(Acquire) {
        start();
    }
    if let Some(heap) = POOL.pop() {
        return Some(heap);
    }
    // SAFETY: numbers, null pointers, empty lists: zero is valid. Zero is also pooled, unlocked, not busy.
    let heap = unsafe { meta::make::<Heap>() }?;
    (0..CLASSES).for_each(|class| heap.grant(class));
    pages::note_heap();
    let mut newest = NEWEST.load(Acquire);
    loop {
        heap.older.store(newest, Relaxed);
        match NEWEST.compare_exchange(newest, ptr::from_ref(heap).cast_mut(), AcqRel, Acquire) {
            Ok(_) => return Some(heap),
            Err(now) => newest = now,
        }
    }
}

/// Runs `work` with a heap of the pool: for a thread that is exiting, and for a signal handler in the middle of its
/// thread's slow path. Nothing is left behind, however often it is done.
#[cold]
pub(super) fn borrow<T>(work: impl FnOnce(&Heap) -> Option<T>) -> Option<T> {
    let heap = take()?;
    let answer = work(heap);
    POOL.push(heap);
    answer
}

/// Called by libc when a thread exits: its heap, with all its spans, waits for the next thread.
unsafe extern "C" fn leave(_anchor: *mut c_void) {
    let Some(heap) = Heap::for_slow_path() else { return };
    heap.flush_all();
    {
        let _inside = heap.enter();
        heap.place.store(0, Relaxed);
        // Destructors that run after this one may allocate and free: they borrow.
        slot::set_state(EXITING);
        slot::set_distance(0);
        slot::set_heap(0);
        heap.set_status(Status::Pooled);
    }
    OWNED.fetch_sub(1, Relaxed);
    let left = heap.0;
    drop(heap);
    POOL.push(left);
    decay::after_thread();
}

/// How many threads own a heap.
pub(super) fn owned() -> usize {
    OWNED.load(Relaxed)
}

/// In a child just forked: the other threads are gone. Their heaps go to the pool, but for those that were being changed.
/// Single bins are never inconsistent: their fast paths commit by one store.
pub extern "C" fn after_fork_in_child() {
    bell::after_fork_in_child();
    turn::after_fork_in_child();
    let mine = match slot::state() {
        0 | EXITING => None,
        anchor => Some(Heap::at_anchor(anchor)),
    };
    OWNED.store(usize::from(mine.is_some()), Relaxed);
    segment::after_fork_in_child();
    if let Some(heap) = mine {
        heap.thread.store(task::id(), Relaxed);
    }
    for heap in all() {
        let is_mine = mine.is_some_and(|mine| ptr::eq(mine, heap));
        if heap.lock.is_held() && !(is_mine && heap.busy.load(Relaxed)) {
            heap.set_status(Status::Lost);
            if is_mine {
                slot::set_state(0);
                slot::set_distance(0);
                slot::set_heap(0);
            }
        } else if !is_mine && !matches!(heap.status(), Status::Pooled | Status::Lost) {
            heap.busy.store(false, Relaxed);
            heap.place.store(0, Relaxed);
            heap.shelf.recount();
            heap.set_status(Status::Pooled);
            POOL.push(heap);
        }
    }
    allowance::after_fork_in_child();
}

static STRAY_FREES: [AtomicU64; CLASSES] = [const { AtomicU64::new(0) }; CLASSES];

/// Counts a free by a thread without a heap.
pub(super) fn count_stray_free(class: usize) {
    STRAY_FREES[class].fetch_add(1, Relaxed);
}

/// Takes back a free that another thread counted, and that was none.
pub(super) fn count_no_free(class: usize) {
    STRAY_FREES[class].fetch_sub(1, Relaxed);
}

/// Frees by threads without a heap, less those that turned out to be none.
pub(super) fn stray_frees(class: usize) -> u64 {
    STRAY_FREES[class].load(Relaxed)
}

/// Lets `count` count in this thread's tally, or in a borrowed heap's.
pub(super) fn tally(heap: Option<&Heap>, kind: Big, count: impl FnOnce(&Tally)) {
    match heap {
        Some(heap) => count(&heap.tallies[kind as usize]),
        None => {
            borrow(|heap| {
                count(&heap.tallies[kind as usize]);
                Some(())
            });
        }
    }
}
