//! Finds out that this process is the child of a fork in which the allocator's data have not been repaired yet, and lets one thread
//! repair them.
//!
//! `fork` calls the handlers that were registered, but `_Fork` calls none, and neither does `clone` without shared memory. So there is
//! a mark as well: a word in a page that the kernel fills with zeros in each child (`MADV_WIPEONFORK`). A child that shares the memory
//! of its parent, as a child of `vfork` does, shares the mark too and repairs nothing.
//!
//! ```text
//!    SETTLED  --fork: the kernel wipes the page-->  WIPED  --settle_once-->  AT_WORK  --repaired-->  SETTLED
//! ```
//!
//! It relies on `kernel` for the page, on `futex` for waiting, and on the C library's `atfork` for the handler.
//!
//! # Safety
//! The mark is a static, or a word in a mapping that is never unmapped.

use super::futex;
use super::kernel::{Advice, kernel};
use super::vm::PAGE;
use crate::atomic::{
    AtomicBool, AtomicPtr, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
pub use crate::libc::glibc::atfork::call_in_child;

/// This is a child, and nothing has been repaired.
const WIPED: u32 = 0;
/// A thread of the child is repairing the data.
const AT_WORK: u32 = 1;
/// Nothing is to be repaired.
const SETTLED: u32 = 2;

/// The mark where the kernel wipes no page. It never changes, so only the handler tells of a fork.
static NEVER_WIPED: AtomicU32 = AtomicU32::new(SETTLED);
static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(&raw const NEVER_WIPED as *mut AtomicU32);

/// Whether the mark was found wiped, in this process or in one that it descends from. So the kernel does wipe: some programs that
/// stand in for the Linux kernel agree to do it and then do not.
static WIPES: AtomicBool = AtomicBool::new(false);

fn mark() -> &'static AtomicU32 {
    // SAFETY: the static, or a word of a mapping that stays. The load pairs with the store in `prepare`.
    unsafe { &*MARK.load(Acquire) }
}

/// Makes the mark; called once in a process. There is none where memory is out, and none before Linux 4.14. `mapped` is called with
/// the number of bytes that were mapped for it.
pub fn prepare(mapped: fn(usize)) {
    let page = (kernel().map)(0, PAGE, false);
    if page == 0 {
        return;
    }
    mapped(PAGE);
    // SAFETY: the page was mapped just now.
    if unsafe { (kernel().advise)(page, PAGE, Advice::WipeOnFork) } {
        let word = page as *mut AtomicU32;
        // SAFETY: the page was mapped just now; zero is a valid word.
        unsafe { (*word).store(SETTLED, Release) };
        // Pairs with the load in `mark`: a thread that sees the new mark sees it settled.
        MARK.store(word, Release);
    }
}

/// Whether this may be a child in which the data have not been repaired. It costs two loads.
///
/// The load of the mark pairs with the store at the end of `settle_once`: a thread that sees SETTLED sees the repaired data.
#[inline]
pub fn is_unsettled() -> bool {
    mark().load(Acquire) != SETTLED
}

/// Calls `settle` to repair the data, unless another thread does so; then it waits for that thread.
pub fn settle_once(settle: impl FnOnce()) {
    let mark = mark();
    // Where the exchange fails, Acquire pairs with the store of SETTLED below, as in `is_unsettled`.
    match mark.compare_exchange(WIPED, AT_WORK, Acquire, Acquire) {
        Ok(_) => {
            WIPES.store(true, Relaxed);
            settle();
            mark.store(SETTLED, Release);
            futex::rouse_all(mark);
        }
        Err(AT_WORK) => {
            while mark.load(Acquire) == AT_WORK {
                futex::doze(mark, AT_WORK, None);
            }
        }
        Err(_) => {}
    }
}

/// The same for a fork handler, which runs also where the kernel does not wipe the mark. It calls `settle` unless the data are repaired
/// already, because a handler before this one allocated.
pub fn settle_in_child(settle: impl FnOnce()) {
    if is_unsettled() {
        settle_once(settle);
    } else if !WIPES.load(Relaxed) {
        settle();
    }
}
