//! The mark of a thread that is in a slow path without a heap: it has no heap, adopts one, puts one into the pool, or
//! works on shared state.
//!
//! A slow path in the thread's own heap marks that heap as busy instead. Both marks tell a signal handler, and a child
//! process that it forks, that an interrupted slow path continues when the handler returns: they must not touch the
//! state that it uses.

use hakmem_os::slot;

/// Marks this thread until it is dropped.
pub(super) struct SlowPathMark(());

impl SlowPathMark {
    /// Marks this thread. Marks may be nested.
    pub(super) fn set() -> SlowPathMark {
        slot::set_work(slot::work() + 1);
        SlowPathMark(())
    }

    /// Marks this thread if the slow path has no `heap`; otherwise the heap is marked as busy already.
    pub(super) fn set_without<H>(heap: Option<&H>) -> Option<SlowPathMark> {
        heap.is_none().then(SlowPathMark::set)
    }

    /// Whether this thread is marked. Asked by slow paths, which may run in a signal handler, and in a child process.
    pub(super) fn is_set() -> bool {
        slot::work() != 0
    }
}

impl Drop for SlowPathMark {
    fn drop(&mut self) {
        slot::set_work(slot::work() - 1);
    }
}
