//! Waking the scavenger, the thread that gives memory back while the program idles.
//!
//! A thread that has work for the scavenger calls [`notify`], which costs one load while the scavenger is awake. The
//! first call with enough memory mapped starts the thread, if the process allowed it: small programs never have one.
//! The scavenger is the only thread that reads files of `/proc` and looks at other threads. A thread that wants the
//! heaps of waiting threads emptied at once requests that and waits for the answer ([`request_flush`]).
//!
//! ```text
//!   NEVER --allow--> ABSENT --notify--> AWAKE --sleep--> ASLEEP
//!                       ^                 | ^               |
//!                       +------ stop -----+ +--- notify ----+
//! ```
//!
//! A start that fails leads back to `NEVER`.
//!
//! No notification is lost. The notifying thread first changes what the scavenger looks at, and then reads whether the
//! scavenger sleeps. The scavenger first stores that it sleeps, and then looks. All four accesses are sequentially
//! consistent, so at least one of the two threads sees the store of the other. `NEW_CACHE`, `REQUESTED` and `MUST_END`
//! rely on the same order.
//!
//! # Safety
//! `START` holds the function that starts the thread, or null while no thread may be started.

use crate::base::accounting;
use crate::policy;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use hakmem_os::{futex, helper};

/// There is no scavenger; the next notification may start it.
const ABSENT: u32 = 0;
/// The scavenger is awake, or will be in a moment.
const AWAKE: u32 = 1;
/// The scavenger sleeps until a thread notifies it.
const ASLEEP: u32 = 2;
/// There is no scavenger, and none may be started.
const NEVER: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(NEVER);
/// The function that starts the scavenger.
static START: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// Whether a thread began to cache memory since the scavenger last looked at the heaps.
static NEW_CACHE: AtomicBool = AtomicBool::new(false);
/// The number of the latest request.
static REQUESTED: AtomicU32 = AtomicU32::new(0);
/// The number of the latest request that the scavenger completed.
static COMPLETED: AtomicU32 = AtomicU32::new(0);
/// The longest wait for an answer of the scavenger. It has to end: a signal handler may wait here while the scavenger
/// waits for a lock of the thread that the handler interrupted.
const LONGEST_WAIT_MS: u32 = 1000;
/// How often a call that needs a process with one thread is tried after the scavenger ended, a millisecond apart.
const TRIES_AFTER_END: u32 = 100;
/// Whether the scavenger is to end.
static MUST_END: AtomicBool = AtomicBool::new(false);
/// How often the program shut itself in behind a filter of system calls (seccomp), or is about to.
static SHUT_IN: AtomicUsize = AtomicUsize::new(0);
/// 1 while the scavenger makes calls that such a filter may answer by ending the program.
static CALLING: AtomicU32 = AtomicU32::new(0);

/// Allows the scavenger to be started when it is needed, by `start`, which returns whether it succeeded.
pub fn allow(start: fn() -> bool) {
    START.store(start as *mut (), Relaxed);
    // Release pairs with the exchange in `wake` that finds ABSENT: that thread then reads this `START`.
    STATE.store(ABSENT, Release);
}

/// Notifies the scavenger that there is memory to give back.
#[inline]
pub fn notify() {
    let state = STATE.load(SeqCst);
    if state != AWAKE && state != NEVER {
        wake(state);
    }
}

/// Notifies the scavenger that a thread began to cache memory.
pub fn note_new_cache() {
    NEW_CACHE.store(true, SeqCst);
    notify();
}

#[cold]
#[inline(never)]
fn wake(state: u32) {
    if state == ASLEEP {
        if STATE.compare_exchange(ASLEEP, AWAKE, AcqRel, Relaxed).is_ok() {
            futex::rouse(&STATE);
        }
        return;
    }
    if accounting::mapped() < policy::current().scavenge_from
        || STATE.compare_exchange(ABSENT, AWAKE, AcqRel, Relaxed).is_err()
    {
        return;
    }
    // SAFETY: `allow` stored a function of this type before it set the state to ABSENT, and the exchange found ABSENT.
    let start = unsafe { core::mem::transmute::<*mut (), fn() -> bool>(START.load(Acquire)) };
    if is_shut_in() || !start() {
        STATE.store(NEVER, Relaxed);
    }
}

/// Requests that the scavenger empties the heaps of all threads that wait for something, and waits until it has.
/// Returns at once where there is no scavenger.
pub fn request_flush() {
    let number = REQUESTED.fetch_add(1, SeqCst).wrapping_add(1);
    for _ in 0..LONGEST_WAIT_MS {
        let state = STATE.load(SeqCst);
        // Acquire pairs with Release in `complete_request`: the flush is seen as done.
        let completed = COMPLETED.load(Acquire);
        if completed.wrapping_sub(number) as i32 >= 0 || state == ABSENT || state == NEVER {
            return;
        }
        if state == ASLEEP {
            wake(state);
        } else {
            // The scavenger may be in a nap.
            futex::rouse(&STATE);
        }
        futex::doze(&COMPLETED, completed, Some(1));
    }
}

/// Notes that the program is about to shut itself in behind a filter of system calls. From then on the allocator makes
/// only the calls that map, unmap and purge memory, and those that wait. Returns when the scavenger makes no other call
/// any more.
pub fn shut_in() {
    // This addition and the next load, and the opposite pair in `unless_shut_in`, are SeqCst: one of the two threads sees
    // what the other wrote.
    SHUT_IN.fetch_add(1, SeqCst);
    for _ in 0..LONGEST_WAIT_MS {
        if CALLING.load(SeqCst) == 0 {
            return;
        }
        futex::doze(&CALLING, 1, Some(1));
    }
}

/// Makes the `call` by which the program shuts itself in. If the call did not succeed, the state is as before.
pub fn shut_in_by<T: Copy>(call: impl FnOnce() -> T, succeeded: impl FnOnce(T) -> bool) -> T {
    shut_in();
    let result = call();
    if !succeeded(result) {
        SHUT_IN.fetch_sub(1, SeqCst);
    }
    result
}

/// Whether the program shut itself in, or is about to.
pub fn is_shut_in() -> bool {
    SHUT_IN.load(SeqCst) != 0
}

/// Makes a call that the kernel refuses to a process with more than one thread. If the call does not succeed and there
/// is a scavenger, the scavenger is ended and the call is tried again. The next notification starts the scavenger
/// again.
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

/// Ends the scavenger, and waits until its thread has ended. Returns whether it ended a scavenger.
fn stop() -> bool {
    if matches!(STATE.load(SeqCst), ABSENT | NEVER) {
        return false;
    }
    MUST_END.store(true, SeqCst);
    for _ in 0..LONGEST_WAIT_MS {
        futex::rouse(&STATE);
        if helper::is_over(1) {
            // Release pairs with the exchange in `wake` that finds ABSENT: the end of this scavenger comes before the
            // next start.
            STATE.store(ABSENT, Release);
            return true;
        }
    }
    MUST_END.store(false, SeqCst);
    false
}

/// Called in a child just forked, before anything is repaired: until [`after_fork_in_child`] nothing is woken or
/// started.
pub fn disable_in_child() {
    if STATE.load(Relaxed) != NEVER {
        STATE.store(AWAKE, Relaxed);
    }
}

/// Called in a child just forked, in which the scavenger does not exist: a notification may start one again.
pub fn after_fork_in_child() {
    helper::forget();
    CALLING.store(0, Relaxed);
    MUST_END.store(false, Relaxed);
    if STATE.load(Relaxed) != NEVER {
        STATE.store(ABSENT, Relaxed);
    }
}

/// Called by the scavenger: makes `calls`, which a filter of system calls may forbid; `None`, without making them, if
/// the program shut itself in.
pub fn unless_shut_in<T>(calls: impl FnOnce() -> T) -> Option<T> {
    CALLING.store(1, SeqCst);
    let found = (!is_shut_in()).then(calls);
    CALLING.store(0, SeqCst);
    found
}

/// Called by the scavenger: sleeps for `ms` milliseconds. A notification does not wake it, but a request and its end
/// do.
pub fn nap(ms: u64) {
    if pending_request().is_none() && !must_end() {
        futex::doze(&STATE, AWAKE, Some(ms));
    }
}

/// Called by the scavenger before it looks at the heaps: a cache that is noted after this call keeps it from sleeping.
pub fn begin_look() {
    NEW_CACHE.store(false, SeqCst);
}

/// Called by the scavenger: the number of the latest request, if that is not completed.
pub fn pending_request() -> Option<u32> {
    let number = REQUESTED.load(SeqCst);
    // Relaxed is enough: only the scavenger, which is the caller, writes `COMPLETED`.
    (number != COMPLETED.load(Relaxed)).then_some(number)
}

/// Called by the scavenger: marks all requests up to `number` as completed, and wakes the threads that wait for them.
pub fn complete_request(number: u32) {
    COMPLETED.store(number, Release);
    futex::rouse_all(&COMPLETED);
}

/// Called by the scavenger: whether it is to end.
pub fn must_end() -> bool {
    MUST_END.load(SeqCst)
}

/// Called by the scavenger: ends its thread.
pub fn end() -> ! {
    MUST_END.store(false, SeqCst);
    helper::end()
}

/// Called by the scavenger: sleeps until a thread notifies it, and at most `most_ms` milliseconds if a number is given.
/// It does not sleep if a cache was noted since [`begin_look`], a request is pending, it is to end, or `has_work` says
/// so. Returns whether it was notified.
pub fn sleep(most_ms: Option<u64>, has_work: impl Fn() -> bool) -> bool {
    STATE.store(ASLEEP, SeqCst);
    if !NEW_CACHE.load(SeqCst) && pending_request().is_none() && !must_end() && !has_work() {
        futex::doze(&STATE, ASLEEP, most_ms);
    }
    STATE.swap(AWAKE, SeqCst) == AWAKE
}
