//! Forks: a call in each child made by `fork`, and a mark by which any copy of the process's memory is told from the original.
//!
//! `fork` calls the handlers that were registered; `_Fork`, and `clone` without shared memory, call none. So a word lies in a page
//! that the kernel wipes in each child: it is zero where nothing has been put right yet. A child that shares its parent's
//! memory, as those of `vfork` do, shares the word too.
//!
//! # Safety
//! The word lives in a static or in a mapping that is never unmapped.

use crate::atomic::{
    AtomicBool, AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::kernel::{Advice, kernel};
use crate::vm::PAGE;
use core::ffi::c_void;

/// In a child, and nobody has put anything right.
const WIPED: u32 = 0;
/// Somebody is about to.
const AT_WORK: u32 = 1;
/// The process is what it says it is.
const SETTLED: u32 = 2;

/// The word where the kernel wipes none: there only the handlers know of a fork.
static NEVER_WIPED: AtomicU32 = AtomicU32::new(SETTLED);
static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(&raw const NEVER_WIPED as *mut AtomicU32);

/// Whether a child was put right without a handler, by this process or one that it comes from. It tells whether the kernel wipes: some
/// that stand in for Linux say that they will, and do not.
static WIPES: AtomicBool = AtomicBool::new(false);

fn mark() -> &'static AtomicU32 {
    // SAFETY: the static, or a word of a mapping that stays.
    unsafe { &*MARK.load(Acquire) }
}

/// Prepares the mark; once in a process. Without memory, or in a kernel before Linux 4.14, there is none. `mapped` is told of bytes
/// that are mapped for it.
pub fn prepare(mapped: fn(usize)) {
    let page = (kernel().map)(0, PAGE, false);
    if page == 0 {
        return;
    }
    mapped(PAGE);
    // SAFETY: mapped just now.
    if unsafe { (kernel().advise)(page, PAGE, Advice::WipeOnFork) } {
        let word = page as *mut AtomicU32;
        // SAFETY: as above; zero is a valid word.
        unsafe { (*word).store(SETTLED, Release) };
        MARK.store(word, Release);
    }
}

/// Whether this may be a child in which nothing has been put right yet. One load.
#[inline]
pub fn is_unsettled() -> bool {
    mark().load(Acquire) != SETTLED
}

/// Lets `settle` put the child right, unless another thread does: then waits for it.
pub fn settle_once(settle: impl FnOnce()) {
    let mark = mark();
    match mark.compare_exchange(WIPED, AT_WORK, AcqRel, Acquire) {
        Ok(_) => {
            WIPES.store(true, Relaxed);
            settle();
            mark.store(SETTLED, Release);
            crate::futex::rouse_all(mark);
        }
        Err(AT_WORK) => {
            while mark.load(Acquire) == AT_WORK {
                crate::futex::doze(mark, AT_WORK, None);
            }
        }
        Err(_) => {}
    }
}

/// For the handler of a fork: `settle` puts the child right, unless that was done already because a handler before this one allocated.
pub fn settle_in_child(settle: impl FnOnce()) {
    if is_unsettled() {
        settle_once(settle);
    } else if !WIPES.load(Relaxed) {
        settle();
    }
}

/// Calls `child` in every child made by `fork`, before anything else of the program runs there. Nothing is registered for
/// the parent: no lock is ever held across a fork.
pub fn call_in_child(child: unsafe extern "C" fn()) {
    unsafe extern "C" {
        // What libc's own `pthread_atfork` calls, for the library that is named last: none, which is never unloaded.
        fn __register_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
            library: *const c_void,
        ) -> i32;
    }
    // SAFETY: the function lives as long as the program.
    unsafe { __register_atfork(None, None, Some(child), core::ptr::null()) };
}
