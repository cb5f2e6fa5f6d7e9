//! Slow paths of which no heap tells: those of a thread that has none, takes one, leaves one, or works with what all threads share.
//!
//! Where the thread's own heap is in a slow path, that heap is marked as busy. Everything else that a signal handler must not do over
//! again, and that a child forked in a handler must leave alone since it goes on when the handler returns, is marked on the thread.

use hakmem_os::slot;

/// This thread is in such a slow path for as long as this lives.
pub(super) struct Work(());

impl Work {
    /// Begins one, which may be part of another.
    pub(super) fn begin() -> Work {
        slot::set_work(slot::work() + 1);
        Work(())
    }

    /// The same where the thread has no heap at hand, which would tell by itself.
    pub(super) fn begin_without<H>(heap: Option<&H>) -> Option<Work> {
        heap.is_none().then(Work::begin)
    }

    /// Whether this thread is in one: a signal handler asks that.
    pub(super) fn is_under_way() -> bool {
        slot::work() != 0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        slot::set_work(slot::work() - 1);
    }
}
