//! This thread's slot: which heap the thread has, if it has one.
//!
//! The third word of the slot, the *state*, says so also while the scavenger has cleared the other two:
//!
//! | state | the thread |
//! |---|---|
//! | 0 | has no heap and has freed nothing |
//! | [`EXITING`] | is past the hook of its exit; its heap is gone for good |
//! | up to `FREED_ONCE * FREES_WITHOUT_HEAP` | has no heap, and has freed something so many times [`FREED_ONCE`] says |
//! | anything above | has the heap with this anchor |
//!
//! # Safety
//! The hook at the end of a thread is called by the C library, in the thread that armed it.

use super::layout::{EMPTY_HEAP, Heap};
use core::ffi::c_void;
use hakmem_os::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use hakmem_os::futex::Lock;
use hakmem_os::slot;
use hakmem_os::thread::ExitHook;

static EXIT: ExitHook = ExitHook::new();
/// One thread registers the hook.
static REGISTERING: Lock = Lock::new();
static REGISTERED: AtomicBool = AtomicBool::new(false);

const EXITING: usize = 1;
/// Added to the state for each free of a thread without a heap.
const FREED_ONCE: usize = 2;
/// A thread that only frees gets a heap after so many times: from then on, handing the blocks over one by one costs more than a heap
/// would. Before that it may be a thread that ends: the C library frees what belongs to a thread after the last hook of its exit, and a
/// heap adopted there would not be given back. What is freed then is the thread's own and that of some stacks that it drops.
const FREES_WITHOUT_HEAP: usize = 64;

/// This thread's heap, as far as its slot knows one.
pub(super) fn heap() -> Option<&'static Heap> {
    let state = slot::state();
    (state > FREED_ONCE * FREES_WITHOUT_HEAP).then(|| Heap::at_anchor(state))
}

/// Lets this thread have `heap`.
pub(super) fn set_heap(heap: &'static Heap) {
    slot::set_state(heap.anchor());
    show(heap);
}

/// Lets the fast paths find `heap`, which this thread has.
pub(super) fn show(heap: &Heap) {
    slot::set_distance((&raw const heap.bins as usize).wrapping_sub(&raw const EMPTY_HEAP as usize));
    slot::set_heap(heap.anchor());
}

/// Lets this thread have no heap.
pub(super) fn forget() {
    slot::set_state(0);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// The same if it has one.
pub(super) fn forget_heap() {
    if heap().is_some() {
        forget();
    }
}

/// Lets this thread, which ends, have no heap any more.
pub(super) fn end() {
    slot::set_state(EXITING);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// Whether this thread is past the hook of its exit.
pub(super) fn is_exiting() -> bool {
    slot::state() == EXITING
}

/// Counts a free of a thread without a heap; whether it has freed so little that it goes on without one.
pub(super) fn frees_without_heap() -> bool {
    let state = slot::state();
    let few = state != EXITING && state < FREED_ONCE * FREES_WITHOUT_HEAP;
    if few {
        slot::set_state(state + FREED_ONCE);
    }
    few
}

/// Lets `hook` be called at the end of every thread that arms it. Only the first call has an effect.
pub(super) fn call_at_exit(hook: unsafe extern "C" fn(*mut c_void)) {
    if REGISTERED.load(Acquire) {
        return;
    }
    let _one_at_a_time = REGISTERING.lock();
    if !REGISTERED.load(Relaxed) {
        EXIT.register(hook);
        REGISTERED.store(true, Release);
    }
}

/// Arms the hook for this thread, which has `heap`.
pub(super) fn arm_exit_hook(heap: &Heap) {
    EXIT.arm(heap.anchor());
}

/// In a child just forked, where whoever was registering the hook is no more.
pub(super) fn after_fork_in_child() {
    REGISTERING.reset();
}
