//! Heaps change hands: a new thread adopts one from the pool or makes one, an exiting thread leaves its own there.
//!
//! # Safety
//! Only the thread that took a heap off the pool acts as its owner, until it puts it back.

use super::{Big, GROUND, Heap, Status, Tally, Work, fork};
use crate::bell;
use crate::decay;
use crate::meta;
use crate::pages;
use crate::sizes::CLASSES;
use crate::sync::Stack;
use core::ffi::c_void;
use core::ptr;
use hakmem_os::atomic::{
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
/// Or, in a thread that has no heap, this for each time that it freed something.
const FREED_ONCE: usize = 2;
/// A thread that only frees gets a heap after so many times: then handing the blocks over one by one costs more than a heap would. Until
/// then it may be one that ends: the C library frees what belongs to a thread after the last hook of its exit, and a heap adopted
/// there would not be given back. What it frees then is its own and that of some stacks that it drops.
const FREES_WITHOUT_HEAP: usize = 64;

/// This thread's heap, as far as its slot knows one.
pub(super) fn known() -> Option<&'static Heap> {
    let state = slot::state();
    (state > FREED_ONCE * FREES_WITHOUT_HEAP).then(|| Heap::at_anchor(state))
}

/// Lets this thread's slot know of no heap.
pub(super) fn forget() {
    slot::set_state(0);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// The same if it knows one.
pub(super) fn forget_heap() {
    if known().is_some() {
        forget();
    }
}

/// Readies the process: the hook at thread exit. Called with the first heap; more calls do nothing.
pub fn start() {
    let _one_at_a_time = START.lock();
    if !STARTED.load(Relaxed) {
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

/// A heap for this thread to allocate from; `None` if it is exiting, in a signal handler that interrupted a slow path, or memory is out.
#[cold]
#[inline(never)]
pub(super) fn attach() -> Option<&'static Heap> {
    fork::look();
    known().or_else(|| if slot::state() == EXITING || Work::is_under_way() { None } else { adopt() })
}

/// A heap for this thread to free with; `None` also where it has none and has freed little so far.
#[cold]
#[inline(never)]
pub(super) fn attach_to_free() -> Option<&'static Heap> {
    fork::look();
    let state = slot::state();
    if state != EXITING && state < FREED_ONCE * FREES_WITHOUT_HEAP {
        slot::set_state(state + FREED_ONCE);
        return None;
    }
    attach()
}

fn adopt() -> Option<&'static Heap> {
    let _work = Work::begin();
    let heap = take()?;
    heap.thread.store(task::id(), Relaxed);
    heap.adoptions.store(heap.adoptions.load(Relaxed).wrapping_add(1), Release);
    heap.start_small();
    slot::set_state(heap.anchor());
    slot::set_distance((&raw const heap.bins as usize).wrapping_sub(&raw const GROUND as usize));
    slot::set_heap(heap.anchor());
    // After the slot: the scavenger takes a heap for that of a thread which is gone if the slot does not name it.
    heap.set_status(Status::Owned);
    OWNED.fetch_add(1, Relaxed);
    // From here on this thread can allocate, which libc may do now. Without the hook the heap is given back when the scavenger finds
    // the thread gone.
    EXIT.arm(heap.anchor());
    bell::tell();
    Some(heap)
}

/// Takes a heap off the pool, or makes one. It says in whose hands it is, which a child forked by a signal handler has to know.
fn take() -> Option<&'static Heap> {
    let heap = find()?;
    heap.place.store(slot::address(), Release);
    Some(heap)
}

fn find() -> Option<&'static Heap> {
    fork::look();
    if !STARTED.load(Acquire) {
        start();
    }
    if let Some(heap) = POOL.pop() {
        heap.settle_orphan();
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
    let _work = Work::begin();
    let heap = take()?;
    // A child forked meanwhile must not touch it.
    heap.busy.store(true, Relaxed);
    let answer = work(heap);
    heap.busy.store(false, Release);
    heap.place.store(0, Relaxed);
    POOL.push(heap);
    answer
}

/// Called by libc when a thread exits: its heap, with all its spans, waits for the next thread.
unsafe extern "C" fn leave(_anchor: *mut c_void) {
    let Some(heap) = Heap::for_slow_path() else { return };
    let _work = Work::begin();
    heap.flush_all();
    {
        let _inside = heap.enter();
        // Destructors that run after this one may allocate and free: they borrow.
        slot::set_state(EXITING);
        slot::set_distance(0);
        slot::set_heap(0);
        heap.set_status(Status::Pooled);
    }
    let left = heap.0;
    drop(heap);
    left.place.store(0, Relaxed);
    put_into_pool(left);
    decay::after_thread();
}

/// Puts a heap that a thread had into the pool.
pub(super) fn put_into_pool(heap: &'static Heap) {
    OWNED.fetch_sub(1, Relaxed);
    POOL.push(heap);
}

/// In a child just forked: the pool is empty.
pub(super) fn empty_pool() {
    START.reset();
    POOL.reset();
}

/// In a child just forked: so many heaps have an owner.
pub(super) fn count_owned(heaps: usize) {
    OWNED.store(heaps, Relaxed);
}

/// How many threads own a heap.
pub(super) fn owned() -> usize {
    OWNED.load(Relaxed)
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

static STRAY_TALLIES: [Tally; 2] = [const { Tally::new() }; 2];

/// Medium or large blocks of threads without a heap.
pub(super) fn stray_tally(kind: Big) -> &'static Tally {
    &STRAY_TALLIES[kind as usize]
}

/// Lets `count` count in this thread's tally, or in that of all threads without a heap: there may be no memory for one.
pub(super) fn tally(heap: Option<&Heap>, kind: Big, count: impl FnOnce(&Tally)) {
    match heap {
        Some(heap) => count(&heap.tallies[kind as usize]),
        None => {
            let change = Tally::new();
            count(&change);
            stray_tally(kind).add_shared(&change);
        }
    }
}
