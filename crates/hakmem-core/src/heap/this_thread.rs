//! This thread's slot, which says whether the thread has a heap, and which one.
//!
//! The third word of the slot, the *state*, keeps this information while the scavenger has cleared the other two:
//!
//! | state | the thread |
//! |---|---|
//! | 0 | has no heap and has freed nothing |
//! | [`EXITING`] | is past its exit hook and gets no heap again |
//! | up to `FREED_ONCE * FREES_WITHOUT_HEAP` | has no heap, and has made `state / FREED_ONCE` frees |
//! | any larger value | has the heap with this anchor |
//!
//! # Safety
//! The C library calls the exit hook in the thread that armed it.

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
/// Held by the thread that registers the hook.
static REGISTERING: Lock = Lock::new();
static REGISTERED: AtomicBool = AtomicBool::new(false);

const EXITING: usize = 1;
/// Added to the state for each free of a thread without a heap.
const FREED_ONCE: usize = 2;
/// A thread that only frees gets a heap after this many frees: from then on, sending the blocks one by one costs more
/// than a heap. A thread with fewer frees may be exiting: the C library frees the thread's own blocks, and those of
/// some cached stacks that it drops, after the last exit hook, and a heap adopted at that point would not return to the
/// pool.
const FREES_WITHOUT_HEAP: usize = 64;

/// Returns this thread's heap, also while the scavenger has cleared the slot; `None` if the thread has none.
pub(super) fn heap() -> Option<&'static Heap> {
    let state = slot::state();
    (state > FREED_ONCE * FREES_WITHOUT_HEAP).then(|| Heap::at_anchor(state))
}

/// Makes `heap` this thread's heap.
pub(super) fn set_heap(heap: &'static Heap) {
    slot::set_state(heap.anchor());
    show_to_fast_paths(heap);
}

/// Makes the fast paths use `heap`, which is this thread's heap.
pub(super) fn show_to_fast_paths(heap: &Heap) {
    slot::set_distance((&raw const heap.bins as usize).wrapping_sub(&raw const EMPTY_HEAP as usize));
    slot::set_heap(heap.anchor());
}

/// Clears the slot: this thread has no heap from then on.
pub(super) fn clear() {
    slot::set_state(0);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// Clears the slot if this thread has a heap. If it has none, the count of its frees stays.
pub(super) fn clear_heap() {
    if heap().is_some() {
        clear();
    }
}

/// Clears the slot of this exiting thread, which gets no heap again.
pub(super) fn mark_exiting() {
    slot::set_state(EXITING);
    slot::set_distance(0);
    slot::set_heap(0);
}

/// Whether this thread is past its exit hook.
pub(super) fn is_exiting() -> bool {
    slot::state() == EXITING
}

/// Counts a free of a thread without a heap. Returns whether the thread has freed so few blocks that it stays without
/// one.
pub(super) fn frees_without_heap() -> bool {
    let state = slot::state();
    let few = state != EXITING && state < FREED_ONCE * FREES_WITHOUT_HEAP;
    if few {
        slot::set_state(state + FREED_ONCE);
    }
    few
}

/// Registers `hook` as the exit hook of every thread that arms it. Only the first call has an effect.
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

/// Arms the exit hook for this thread, whose heap is `heap`.
pub(super) fn arm_exit_hook(heap: &Heap) {
    EXIT.arm(heap.anchor());
}

/// Frees the lock in a child process, in which the thread that held it does not exist.
pub(super) fn after_fork_in_child() {
    REGISTERING.reset();
}
