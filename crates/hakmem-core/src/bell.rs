//! The bell of the scavenger, the thread that gives memory back while the program idles: who has something for it rings,
//! which costs one load while it is awake.
//!
//! The thread starts when the bell is rung with enough memory mapped, if the process let it: small programs never have one.
//!
//! # Safety
//! The place of the thread's function holds that, or null while no thread may be started.

use crate::footprint;
use crate::meta;
use crate::policy;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};
use hakmem_os::{futex, helper, process, task};

/// There is no scavenger, and there may be one.
const NONE: u32 = 0;
/// It is awake, or will be in a moment.
const AWAKE: u32 = 1;
/// It sleeps until somebody rings.
const RESTING: u32 = 2;
/// There is none and there will be none.
const NEVER: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(NEVER);
static ENTRY: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// Whether something began that the scavenger must have seen before it rests.
static NEWS: AtomicBool = AtomicBool::new(false);
/// Whether system calls passed a filter when the process began.
static FILTERED: AtomicBool = AtomicBool::new(false);

/// Remembers whether system calls pass a filter, when the process begins.
pub fn remember_filter() {
    FILTERED.store(task::is_filtered(), Relaxed);
}

/// Lets the scavenger be started when it is needed; it begins with `entry`.
pub fn allow(entry: extern "C" fn() -> !) {
    ENTRY.store(entry as *mut (), Relaxed);
    STATE.store(NONE, Relaxed);
}

/// Whether the program shut itself in behind a filter of system calls since it began: then calls that it does not make
/// itself may be its end.
pub fn is_shut_in() -> bool {
    !FILTERED.load(Relaxed) && task::is_filtered()
}

/// Says that there is memory to give back.
#[inline]
pub fn ring() {
    let state = STATE.load(Relaxed);
    if state != AWAKE && state != NEVER {
        wake(state);
    }
}

/// Says that a thread began to keep memory at hand.
pub fn tell() {
    NEWS.store(true, SeqCst);
    ring();
}

#[cold]
#[inline(never)]
fn wake(state: u32) {
    if state == RESTING {
        if STATE.compare_exchange(RESTING, AWAKE, AcqRel, Relaxed).is_ok() {
            futex::rouse(&STATE);
        }
        return;
    }
    if footprint::now() < policy::current().scavenge_from
        || STATE.compare_exchange(NONE, AWAKE, AcqRel, Relaxed).is_err()
    {
        return;
    }
    // SAFETY: what `allow` stored, before it let the state be NONE.
    let entry = unsafe { core::mem::transmute::<*mut (), extern "C" fn() -> !>(ENTRY.load(Acquire)) };
    // A program with more rights than its user gives them up thread by thread; it gets none that it does not know of.
    if process::is_secure() || is_shut_in() || !helper::start(entry, meta::note_mapped) {
        STATE.store(NEVER, Relaxed);
    }
}

/// In a child just forked, where the thread is no more.
pub fn after_fork_in_child() {
    if STATE.load(Relaxed) != NEVER {
        STATE.store(NONE, Relaxed);
    }
}

/// For the scavenger: sleeps so many milliseconds, deaf.
pub fn nap(ms: u64) {
    futex::doze(&STATE, AWAKE, Some(ms));
}

/// For the scavenger, before it looks around: what is told from here on keeps it from resting.
pub fn listen() {
    NEWS.store(false, SeqCst);
}

/// For the scavenger: sleeps until somebody rings, or so many milliseconds if a number is given; not at all if something was
/// told since it listened, or `work` is there. Whether somebody rang.
pub fn rest(most_ms: Option<u64>, work: impl Fn() -> bool) -> bool {
    STATE.store(RESTING, SeqCst);
    if !NEWS.load(SeqCst) && !work() {
        futex::doze(&STATE, RESTING, most_ms);
    }
    STATE.swap(AWAKE, Relaxed) == AWAKE
}
