//! Slow paths of which no heap tells: those of a thread that has none, takes one, leaves one, or works with what all threads share.
//!
//! Where the thread's own heap is in a slow path, that heap is marked as busy. Everything else that a signal handler must not do over
//! again, and that a child forked in a handler must leave alone since it goes on when the handler returns, is marked on the thread.

use hakmem_os::slot;

/// This thread is in such a slow path for as long as this lives.
pub(super) struct SlowPathMark(());

impl SlowPathMark {
    /// Begins one, which may be part of another.
    pub(super) fn set() -> SlowPathMark {
        slot::set_work(slot::work() + 1);
        SlowPathMark(())
    }

    /// The same where the thread has no heap at hand, which would tell by itself.
    pub(super) fn set_without<H>(heap: Option<&H>) -> Option<SlowPathMark> {
        heap.is_none().then(SlowPathMark::set)
    }

    /// Whether this thread is in one: a signal handler asks that.
    pub(super) fn is_set() -> bool {
        slot::work() != 0
    }
}

impl Drop for SlowPathMark {
    fn drop(&mut self) {
        slot::set_work(slot::work() - 1);
    }
}
