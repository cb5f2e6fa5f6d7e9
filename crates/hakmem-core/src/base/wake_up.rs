//! The bell of the scavenger, the thread that gives memory back while the program idles: who has something for it rings,
//! which costs one load while it is awake.
//!
//! The thread starts when the bell is rung with enough memory mapped, if the process let it: small programs never have one. It is
//! the only one that reads files of `/proc` and looks at other threads; who wants that done at once asks and waits for the answer.
//!
//! Who rings has changed what the scavenger looks at, and then reads whether it sleeps; the scavenger says that it sleeps, and then
//! looks. All four are sequentially consistent, so at least one of the two sees the other.
//!
//! # Safety
//! The place of the function that starts the thread holds that, or null while no thread may be started.

use crate::base::accounting;
use crate::policy;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use hakmem_os::{futex, helper};

/// There is no scavenger, and there may be one.
const NONE: u32 = 0;
/// It is awake, or will be in a moment.
const AWAKE: u32 = 1;
/// It sleeps until somebody rings.
const RESTING: u32 = 2;
/// There is none and there will be none.
const NEVER: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(NEVER);
/// The function that starts the scavenger.
static START: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// Whether something began that the scavenger must have seen before it rests.
static NEWS: AtomicBool = AtomicBool::new(false);
/// The number of the last request, and of the last one that was answered.
static ASKED: AtomicU32 = AtomicU32::new(0);
static ANSWERED: AtomicU32 = AtomicU32::new(0);
/// How long an answer is waited for. The scavenger may be waiting for a lock of the very thread that asks, in a signal handler.
const LONGEST_WAIT_MS: u32 = 1000;
/// How often a call is tried that wants one thread, a millisecond apart.
const TRIES_AFTER_END: u32 = 100;
/// Whether the scavenger is to end.
static LEAVE: AtomicBool = AtomicBool::new(false);
/// How often the program shut itself in behind a filter of system calls, or is about to.
static SHUT_IN: AtomicUsize = AtomicUsize::new(0);
/// 1 while the scavenger makes calls that such a filter may answer by ending the program.
static LOOKING: AtomicU32 = AtomicU32::new(0);

/// Lets the scavenger be started when it is needed, by `start`, which returns whether it did.
pub fn allow(start: fn() -> bool) {
    START.store(start as *mut (), Relaxed);
    STATE.store(NONE, Release);
}

/// Says that there is memory to give back.
#[inline]
pub fn ring() {
    let state = STATE.load(SeqCst);
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
    if accounting::now() < policy::current().scavenge_from
        || STATE.compare_exchange(NONE, AWAKE, AcqRel, Relaxed).is_err()
    {
        return;
    }
    // SAFETY: what `allow` stored, before it let the state be NONE.
    let start = unsafe { core::mem::transmute::<*mut (), fn() -> bool>(START.load(Acquire)) };
    if is_shut_in() || !start() {
        STATE.store(NEVER, Relaxed);
    }
}

/// Has the scavenger empty the heaps of all threads that wait for something, and waits until it has; not where there is none.
pub fn ask() {
    let number = ASKED.fetch_add(1, SeqCst).wrapping_add(1);
    for _ in 0..LONGEST_WAIT_MS {
        let state = STATE.load(SeqCst);
        let answered = ANSWERED.load(Acquire);
        if answered.wrapping_sub(number) as i32 >= 0 || state == NONE || state == NEVER {
            return;
        }
        if state == RESTING {
            wake(state);
        } else {
            // It may be in a nap.
            futex::rouse(&STATE);
        }
        futex::doze(&ANSWERED, answered, Some(1));
    }
}

/// Says that the program is about to shut itself in behind a filter of system calls: from now on the allocator makes no calls but
/// those by which memory comes and goes, and sleeps. Returns when that is so.
pub fn shut_in() {
    SHUT_IN.fetch_add(1, SeqCst);
    for _ in 0..LONGEST_WAIT_MS {
        if LOOKING.load(SeqCst) == 0 {
            return;
        }
        futex::doze(&LOOKING, 1, Some(1));
    }
}

/// Makes the `call` by which the program shuts itself in; if it does not `succeed`, all is as before.
pub fn shut_in_by<T: Copy>(call: impl FnOnce() -> T, succeeded: impl FnOnce(T) -> bool) -> T {
    shut_in();
    let result = call();
    if !succeeded(result) {
        SHUT_IN.fetch_sub(1, SeqCst);
    }
    result
}

/// Whether the program said that it shuts itself in.
pub fn is_shut_in() -> bool {
    SHUT_IN.load(SeqCst) != 0
}

/// Makes a call that the kernel refuses to a process with more than one thread: the scavenger, if there is one, ends first. The next
/// ring starts it anew.
pub fn without_scavenger<T: Copy>(call: impl Fn() -> T, succeeded: impl Fn(T) -> bool) -> T {
    let result = call();
    if succeeded(result) || !stop() {
        return result;
    }
    // For a moment the kernel still counts a thread that has ended.
    let tries = (0..TRIES_AFTER_END).find_map(|_| {
        let result = call();
        if !succeeded(result) {
            helper::pause(1);
        }
        succeeded(result).then_some(result)
    });
    tries.unwrap_or_else(call)
}

/// Ends the scavenger, and returns when it is no more. Whether there was one.
fn stop() -> bool {
    if matches!(STATE.load(SeqCst), NONE | NEVER) {
        return false;
    }
    LEAVE.store(true, SeqCst);
    for _ in 0..LONGEST_WAIT_MS {
        futex::rouse(&STATE);
        if helper::is_over(1) {
            STATE.store(NONE, Release);
            return true;
        }
    }
    LEAVE.store(false, SeqCst);
    false
}

/// In a child just forked, before anything is put right: nobody is woken or started meanwhile.
pub fn mute() {
    if STATE.load(Relaxed) != NEVER {
        STATE.store(AWAKE, Relaxed);
    }
}

/// In a child just forked, where the thread is no more.
pub fn after_fork_in_child() {
    helper::forget();
    LOOKING.store(0, Relaxed);
    LEAVE.store(false, Relaxed);
    if STATE.load(Relaxed) != NEVER {
        STATE.store(NONE, Relaxed);
    }
}

/// For the scavenger: makes calls beyond those by which memory comes and goes, unless the program shut itself in.
pub fn look<T>(calls: impl FnOnce() -> T) -> Option<T> {
    LOOKING.store(1, SeqCst);
    let found = (!is_shut_in()).then(calls);
    LOOKING.store(0, SeqCst);
    found
}

/// For the scavenger: sleeps so many milliseconds, deaf but to requests.
pub fn nap(ms: u64) {
    if asked().is_none() && !must_leave() {
        futex::doze(&STATE, AWAKE, Some(ms));
    }
}

/// For the scavenger, before it looks around: what is told from here on keeps it from resting.
pub fn listen() {
    NEWS.store(false, SeqCst);
}

/// For the scavenger: the number of a request that waits for its answer.
pub fn asked() -> Option<u32> {
    let number = ASKED.load(SeqCst);
    (number != ANSWERED.load(Relaxed)).then_some(number)
}

/// For the scavenger: says that what was asked for, up to this number, is done.
pub fn answer(number: u32) {
    ANSWERED.store(number, Release);
    futex::rouse_all(&ANSWERED);
}

/// For the scavenger: whether it is to end.
pub fn must_leave() -> bool {
    LEAVE.load(SeqCst)
}

/// For the scavenger: the last that it does.
pub fn leave() -> ! {
    LEAVE.store(false, SeqCst);
    helper::end()
}

/// For the scavenger: sleeps until somebody rings, or so many milliseconds if a number is given; not at all if something was
/// told since it listened, or `work` is there. Whether somebody rang.
pub fn rest(most_ms: Option<u64>, work: impl Fn() -> bool) -> bool {
    STATE.store(RESTING, SeqCst);
    if !NEWS.load(SeqCst) && asked().is_none() && !must_leave() && !work() {
        futex::doze(&STATE, RESTING, most_ms);
    }
    STATE.swap(AWAKE, SeqCst) == AWAKE
}
