//! Limits: what the allocator does when the used memory reaches a limit of the program or of the system.
//!
//! | reached | then |
//! |---|---|
//! | the soft limit; the limit of the control group; memory pressure | each pass releases all free memory, caches are short, the program's function is called |
//! | the hard limit | all free memory is released; if that is not enough, the program's function is called; then the allocation fails |
//!
//! The scavenger reads the system's limits, since it has file descriptors of its own. It reads them only in a large
//! process; at most once a second, or once in ten seconds if this process brings no limit nearer; and not if the
//! settings forbid it, or if the program has installed a filter of system calls, which might end the process for
//! opening a file. The program can read them by [`read`].
//!
//! # Safety
//! Records and snapshots come from `metadata` and are never unmapped. The program's function is called as its
//! registration allows.

use super::purge::purge_everything;
use crate::base::accounting::{self, UNLIMITED};
use crate::base::demand;
use crate::base::wake_up;
use crate::map::metadata;
use crate::policy::{self, Snapshot};
use core::ffi::c_void;
use core::ptr;
use hakmem_os::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use hakmem_os::cgroup::{self, Reading};
use hakmem_os::futex::Lock;
use hakmem_os::kernel::kernel;
use hakmem_os::process;

/// A process that uses less than this does not read the system's limits.
pub const LARGE_PROCESS: usize = 64 << 20;
/// Milliseconds between two readings of the system's limits, and between two calls of the program's function while a
/// limit stays reached.
const READING_INTERVAL_MS: u64 = 1000;
/// Milliseconds between two readings in a process that does not grow and is far from any limit. Other processes may
/// grow, and limits may change.
const CALM_READING_INTERVAL_MS: u64 = 10 * READING_INTERVAL_MS;

/// The last reading: `high`, `max`, `limit`, `used` and `pressure` of [`Reading`].
static SYSTEM: [AtomicUsize; 5] = [
    AtomicUsize::new(UNLIMITED),
    AtomicUsize::new(UNLIMITED),
    AtomicUsize::new(UNLIMITED),
    AtomicUsize::new(0),
    AtomicUsize::new(0),
];
static LAST_READING: AtomicU64 = AtomicU64::new(0);
/// The bytes that this process used at that time.
static USED_AT_READING: AtomicUsize = AtomicUsize::new(0);
/// Whether the last reading was above the system's limit or the threshold of pressure, and how many times that began.
static SYSTEM_REACHED: AtomicBool = AtomicBool::new(false);
static SYSTEM_TIMES: AtomicUsize = AtomicUsize::new(0);
/// Number of allocations that failed at the hard limit.
static FAILURES: AtomicUsize = AtomicUsize::new(0);
static LAST_NOTIFIED: AtomicU64 = AtomicU64::new(0);

/// The limits and their counters, in the order and layout of `hak_limits_t`. Sizes are in bytes; 0 means no limit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Limits {
    /// The soft limit.
    pub soft: usize,
    /// The hard limit.
    pub hard: usize,
    /// The used bytes, which these limits bound: bytes mapped, without those that are purged.
    pub used: usize,
    /// The least `memory.high` of the control group and those around it.
    pub system_high: usize,
    /// The least `memory.max`.
    pub system_max: usize,
    /// The bytes that the control group with the nearest limit uses.
    pub system_used: usize,
    /// The share of time that is lost to memory pressure, in hundredths of a percent.
    pub system_pressure: usize,
    /// How often the soft limit was crossed.
    pub soft_times: usize,
    /// Allocations that failed at the hard limit, or would have failed without the program's function.
    pub hard_times: usize,
    /// How often the system's limit was reached, or pressure began.
    pub system_times: usize,
    /// 1 while caches are short because of a limit or of pressure.
    pub short_caches: usize,
}

/// Sets the limits in bytes, 0 for none. Returns false and changes nothing if the soft limit is above the hard one.
pub fn set(soft: usize, hard: usize) -> bool {
    if hard != 0 && soft > hard {
        return false;
    }
    let limit = |bytes| if bytes == 0 { UNLIMITED } else { bytes };
    accounting::set_limits(limit(soft), limit(hard));
    true
}

/// Returns the limits and their counters. Reads the system's limits again, for which the calling thread opens files for
/// a moment.
pub fn read() -> Limits {
    if !wake_up::is_shut_in() {
        read_system();
    }
    let system = system();
    let bytes = |limit| if limit == UNLIMITED { 0 } else { limit };
    let (soft, hard) = accounting::limits();
    Limits {
        soft: bytes(soft),
        hard: bytes(hard),
        used: accounting::used(),
        system_high: bytes(system.high),
        system_max: bytes(system.max),
        system_used: system.used,
        system_pressure: system.pressure,
        soft_times: accounting::crossings(),
        hard_times: FAILURES.load(Relaxed),
        system_times: SYSTEM_TIMES.load(Relaxed),
        short_caches: usize::from(shortened().is_some_and(|pair| ptr::eq(policy::current(), &pair.short))),
    }
}

/// Reads the system's limits if it is time. Called by the scavenger before each purge pass.
pub fn read_system_if_due() {
    let (now, used) = ((kernel().now)(), accounting::used());
    if used < LARGE_PROCESS {
        note_system(&Reading::NOTHING);
        USED_AT_READING.store(0, Relaxed);
    } else if is_past(&LAST_READING, now, reading_interval(used)) {
        LAST_READING.store(now, Relaxed);
        // Without this the last reading before the program installed a filter would stay in force.
        if wake_up::unless_shut_in(read_system).is_none() {
            note_system(&Reading::NOTHING);
        }
    }
}

/// Releases all free memory and shortens the caches while a limit is reached, and restores the usual caches when none
/// is. Called once per purge pass. Never calls the program's function.
pub fn enforce() {
    let (now, used) = ((kernel().now)(), accounting::used());
    if used >= LARGE_PROCESS && is_past(&LAST_READING, now, reading_interval(used)) {
        wake_up::notify();
    }
    if reached().is_none() {
        return restore_caches();
    }
    purge_everything();
    shorten_caches();
    if is_past(&LAST_NOTIFIED, now, READING_INTERVAL_MS) {
        demand::note(demand::LIMIT);
    }
}

fn is_past(last: &AtomicU64, now: u64, ms: u64) -> bool {
    now.wrapping_sub(last.load(Relaxed)) >= ms
}

/// Returns the milliseconds from the last reading to the next one.
fn reading_interval(used: usize) -> u64 {
    if SYSTEM_REACHED.load(Relaxed) || needs_reading(used, USED_AT_READING.load(Relaxed), &system()) {
        READING_INTERVAL_MS
    } else {
        CALM_READING_INTERVAL_MS
    }
}

/// Whether this process may have come nearer to the limit since the last reading `system`. It uses `used` bytes now,
/// and used `used_at_reading` bytes at that time. Growth counts if it is more than a sixteenth: with an eighth of the
/// limit left, less growth cannot reach it.
fn needs_reading(used: usize, used_at_reading: usize, system: &Reading) -> bool {
    used > used_at_reading + used_at_reading / 16 || system.is_near()
}

/// Returns the limit that is reached, 0 for pressure; `None` if none is reached.
fn reached() -> Option<usize> {
    if accounting::check_soft_limit() {
        return Some(accounting::limits().0);
    }
    let system = system();
    SYSTEM_REACHED.load(Relaxed).then_some(if system.used > system.limit { system.limit } else { 0 })
}

fn read_system() {
    let policy = policy::current();
    USED_AT_READING.store(accounting::used(), Relaxed);
    let (percent, pressure) = (policy.limit_system, policy.limit_pressure);
    let asked = percent | pressure != 0;
    let reading = if asked { cgroup::read(b"", percent, pressure != 0) } else { Reading::NOTHING };
    note_system(&reading);
}

fn note_system(reading: &Reading) {
    let Reading { high, max, limit, used, pressure } = *reading;
    for (place, value) in SYSTEM.iter().zip([high, max, limit, used, pressure]) {
        place.store(value, Relaxed);
    }
    let threshold = policy::current().limit_pressure * 100;
    let reached = used > limit || threshold != 0 && pressure > threshold;
    if reached && !SYSTEM_REACHED.swap(true, Relaxed) {
        SYSTEM_TIMES.fetch_add(1, Relaxed);
        demand::note(demand::LIMIT);
    } else if !reached {
        SYSTEM_REACHED.store(false, Relaxed);
    }
}

fn system() -> Reading {
    let [high, max, limit, used, pressure] = SYSTEM.each_ref().map(|place| place.load(Relaxed));
    Reading { high, max, limit, used, pressure }
}

/// The usual policy, and the same policy with short caches. Made once for each usual policy.
#[derive(Clone, Copy)]
struct Shortened {
    usual: &'static Snapshot,
    short: Snapshot,
}

static SHORTENED: AtomicPtr<Shortened> = AtomicPtr::new(ptr::null_mut());
/// Held by the thread that changes the policy. A thread that finds it taken changes nothing.
static CHANGE: Lock = Lock::new();

fn shortened() -> Option<&'static Shortened> {
    // SAFETY: the pointer is null or that of a record from `metadata`, which is never unmapped.
    unsafe { SHORTENED.load(Acquire).as_ref() }
}

/// Publishes the policy with short caches, if it is not in force already.
pub fn shorten_caches() {
    let Some(_changing) = CHANGE.try_lock() else { return };
    let current = policy::current();
    let known = shortened().filter(|pair| ptr::eq(pair.usual, current) || ptr::eq(&pair.short, current));
    let pair = known.or_else(|| metadata::place(Shortened { usual: current, short: current.with_short_caches() }));
    if let Some(pair) = pair {
        SHORTENED.store(ptr::from_ref(pair).cast_mut(), Release);
        policy::publish(&pair.short);
    }
}

/// Frees the lock in a child process, in which its holder does not exist.
pub fn after_fork_in_child() {
    CHANGE.reset();
}

/// Publishes the usual policy again, unless another policy was published in the meantime.
fn restore_caches() {
    if let Some(pair) = shortened()
        && ptr::eq(policy::current(), &pair.short)
        && let Some(_changing) = CHANGE.try_lock()
    {
        policy::publish(pair.usual);
    }
}

/// The type of the program's function. Its parameters are the registered argument, the used bytes, and the limit that
/// was reached: 0 for pressure, or if the system refused memory.
pub type Call = unsafe extern "C" fn(argument: *mut c_void, used: usize, limit: usize);

/// A function that was registered, with its argument. A record is never changed or unmapped, so a caller always has a
/// function and the argument that belongs to it.
#[derive(Clone, Copy)]
struct Registered {
    call: Option<Call>,
    argument: usize,
    older: Option<&'static Registered>,
}

static CURRENT_RECORD: AtomicPtr<Registered> = AtomicPtr::new(ptr::null_mut());
/// The list of all records, latest first, so that a pair that is registered again takes no new memory.
static NEWEST_RECORD: AtomicPtr<Registered> = AtomicPtr::new(ptr::null_mut());
/// The number of the process in which a call of the program's function is under way, 0 for none. A child forked during
/// a call has another number, so it may call.
static NOTIFYING: AtomicU32 = AtomicU32::new(0);

/// Registers the program's function in place of the previous one; `None` removes it. Returns false when there is no
/// memory for the record.
///
/// # Safety
/// Any thread may call `call` with `argument` at any time, until another function is registered and all calls under way
/// have ended.
pub unsafe fn on_pressure(call: Option<Call>, argument: *mut c_void) -> bool {
    let argument = argument as usize;
    // SAFETY: the pointer is null or that of a record from `metadata`, which is never unmapped.
    let newest = unsafe { NEWEST_RECORD.load(Acquire).as_ref() };
    let same = |record: &&Registered| {
        record.argument == argument && record.call.map(|it| it as usize) == call.map(|it| it as usize)
    };
    let known = core::iter::successors(newest, |record| record.older).find(same);
    let placed = || remember(call, argument, newest);
    let placed_after_release = || {
        purge_everything();
        placed()
    };
    let Some(record) = known.or_else(placed).or_else(placed_after_release) else { return false };
    CURRENT_RECORD.store(ptr::from_ref(record).cast_mut(), Release);
    true
}

fn remember(call: Option<Call>, argument: usize, older: Option<&'static Registered>) -> Option<&'static Registered> {
    let record = metadata::place(Registered { call, argument, older })?;
    // A record that another thread adds at the same time may drop out of the list. Its pair takes memory again if it is
    // registered again.
    NEWEST_RECORD.store(ptr::from_ref(record).cast_mut(), Release);
    Some(record)
}

/// Calls the program's function for the limit that is reached, or was reached a moment ago.
pub fn notify() {
    LAST_NOTIFIED.store((kernel().now)(), Relaxed);
    let soft = accounting::limits().0;
    call(reached().unwrap_or(if soft == UNLIMITED { 0 } else { soft }));
}

/// Counts an allocation that fails at the hard limit, if `at_limit`, or would fail without the program's function. A
/// failure because the system has no memory is not counted.
pub fn note_failure(at_limit: bool) {
    FAILURES.fetch_add(usize::from(at_limit), Relaxed);
}

/// Calls the program's function for an allocation that fails, at the hard limit if `at_limit`. Returns whether it was
/// called, so that the allocation is worth another attempt.
pub fn notify_of_failure(at_limit: bool) -> bool {
    call(if at_limit { accounting::limits().1 } else { 0 })
}

/// Calls the program's function, unless a call is under way in this process, so calls do not recurse. Returns whether
/// it was called. Keeps `errno`.
fn call(limit: usize) -> bool {
    // SAFETY: the pointer is null or that of a record from `metadata`, which is never unmapped.
    let Some(record) = (unsafe { CURRENT_RECORD.load(Acquire).as_ref() }) else { return false };
    let Some(call) = record.call else { return false };
    let (own, telling) = (process::id(), NOTIFYING.load(Relaxed));
    if telling == own || NOTIFYING.compare_exchange(telling, own, AcqRel, Relaxed).is_err() {
        return false;
    }
    let errno = process::errno();
    // SAFETY: the registration guarantees that the function may be called with this argument.
    unsafe { call(record.argument as *mut c_void, accounting::used(), limit) };
    process::set_errno(errno);
    NOTIFYING.store(0, Release);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_a_near_limit_call_for_a_reading() {
        let far = Reading { limit: 800, used: 699, ..Reading::NOTHING };
        let near = Reading { used: 700, ..far };
        assert!(!needs_reading(170, 160, &far) && needs_reading(171, 160, &far), "more than a sixteenth");
        assert!(!needs_reading(40, 160, &far), "less than before");
        assert!(needs_reading(64, 0, &far), "the first reading");
        assert!(needs_reading(160, 160, &near) && needs_reading(40, 160, &near), "near the limit");
        assert!(needs_reading(160, 160, &Reading { used: 900, ..far }), "above the limit");
        assert!(!needs_reading(160, 160, &Reading::NOTHING), "no limit");
    }
}
