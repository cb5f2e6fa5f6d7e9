//! Limits: what happens when the footprint reaches a limit of the program's or of the system's.
//!
//! | reached | then |
//! |---|---|
//! | the soft limit; the control group's; memory pressure | free memory goes back at each pass, caches are short, the program is told |
//! | the hard limit | free memory goes back; if that is not enough the program is told, and then the allocation fails |
//!
//! What the system says is read by the scavenger, which has descriptors of its own: only in a process that is large, at most once a
//! second, or once in ten where this process brings no limit nearer, and neither where settings say so nor where the program shut
//! itself in behind a filter of system calls, which might end it for opening a file. The program itself may ask, by [`read`].
//!
//! # Safety
//! Records and snapshots come from `meta` and are never unmapped. The program's function is called as it asked for.

use super::purge::everything;
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

/// A process that uses less than this does not look at the system's limits.
pub const LARGE: usize = 64 << 20;
/// Milliseconds between two looks, and between two calls of the program's function while a limit stays reached.
const SECOND: u64 = 1000;
/// Milliseconds between two looks in a process that does not grow, far from any limit: others may, and limits may change.
const CALM: u64 = 10 * SECOND;

/// What the system said last.
static SYSTEM: [AtomicUsize; 5] = [
    AtomicUsize::new(UNLIMITED),
    AtomicUsize::new(UNLIMITED),
    AtomicUsize::new(UNLIMITED),
    AtomicUsize::new(0),
    AtomicUsize::new(0),
];
static LAST_LOOK: AtomicU64 = AtomicU64::new(0);
/// What this process used then.
static USED_THEN: AtomicUsize = AtomicUsize::new(0);
/// Whether the system's limit or its pressure was reached at the last look, and how often that began.
static SYSTEM_REACHED: AtomicBool = AtomicBool::new(false);
static SYSTEM_TIMES: AtomicUsize = AtomicUsize::new(0);
/// Allocations that the hard limit let fail.
static FAILURES: AtomicUsize = AtomicUsize::new(0);
static LAST_TOLD: AtomicU64 = AtomicU64::new(0);

/// The limits and what became of them, in the order and layout of `hak_limits_t`. Sizes are in bytes, 0 is no limit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Limits {
    /// The soft limit.
    pub soft: usize,
    /// The hard limit.
    pub hard: usize,
    /// What is used of them: bytes mapped, without those that are purged.
    pub used: usize,
    /// The least `memory.high` of the control group and those around it.
    pub system_high: usize,
    /// The least `memory.max`.
    pub system_max: usize,
    /// What the group uses whose limit is nearest.
    pub system_used: usize,
    /// Time that is lost to memory pressure, in hundredths of a percent.
    pub system_pressure: usize,
    /// How often the soft limit was crossed.
    pub soft_times: usize,
    /// Allocations that failed at the hard limit, or would have but for the program's function.
    pub hard_times: usize,
    /// How often the system's limit was reached, or pressure began.
    pub system_times: usize,
    /// 1 while caches are short because of a limit or of pressure.
    pub short_caches: usize,
}

/// Sets the limits in bytes, 0 for none; false where the soft one is above the hard one, and then nothing changes.
pub fn set(soft: usize, hard: usize) -> bool {
    if hard != 0 && soft > hard {
        return false;
    }
    let limit = |bytes| if bytes == 0 { UNLIMITED } else { bytes };
    accounting::set_limits(limit(soft), limit(hard));
    true
}

/// The limits and what became of them. Looks at the system's anew, for which the calling thread opens files for a moment.
pub fn read() -> Limits {
    if !wake_up::is_shut_in() {
        look();
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

/// For the scavenger, before each purge pass: looks at the system's limits if it is time.
pub fn look_if_due() {
    let (now, used) = ((kernel().now)(), accounting::used());
    if used < LARGE {
        note_system(&Reading::NOTHING);
        USED_THEN.store(0, Relaxed);
    } else if is_past(&LAST_LOOK, now, between_looks(used)) {
        LAST_LOOK.store(now, Relaxed);
        // What was said before a program shut itself in would otherwise hold for ever.
        if wake_up::unless_shut_in(look).is_none() {
            note_system(&Reading::NOTHING);
        }
    }
}

/// Called once per purge pass: gives everything back while a limit is reached, and brings the usual caches back when none is. Never
/// calls the program.
pub fn follow() {
    let (now, used) = ((kernel().now)(), accounting::used());
    if used >= LARGE && is_past(&LAST_LOOK, now, between_looks(used)) {
        wake_up::notify();
    }
    if reached().is_none() {
        return relax();
    }
    everything();
    tighten();
    if is_past(&LAST_TOLD, now, SECOND) {
        demand::note(demand::LIMIT);
    }
}

fn is_past(last: &AtomicU64, now: u64, ms: u64) -> bool {
    now.wrapping_sub(last.load(Relaxed)) >= ms
}

/// Milliseconds from the last look to the next one.
fn between_looks(used: usize) -> u64 {
    if SYSTEM_REACHED.load(Relaxed) || is_news(used, USED_THEN.load(Relaxed), &system()) { SECOND } else { CALM }
}

/// Whether this process, which uses so much now and used so much at the last look, may have brought the limit nearer that was
/// seen then. A sixteenth more is the least that counts: with an eighth of the limit left, less than that cannot reach it.
fn is_news(used: usize, used_then: usize, system: &Reading) -> bool {
    used > used_then + used_then / 16 || system.is_near()
}

/// The limit that is reached, if any is; 0 for pressure.
fn reached() -> Option<usize> {
    if accounting::is_above() {
        return Some(accounting::limits().0);
    }
    let system = system();
    SYSTEM_REACHED.load(Relaxed).then_some(if system.used > system.limit { system.limit } else { 0 })
}

fn look() {
    let policy = policy::current();
    USED_THEN.store(accounting::used(), Relaxed);
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

/// The policy that was in force, and the same with short caches: made once.
#[derive(Clone, Copy)]
struct Shortened {
    usual: &'static Snapshot,
    short: Snapshot,
}

static SHORTENED: AtomicPtr<Shortened> = AtomicPtr::new(ptr::null_mut());
/// One thread changes the policy at a time; others leave it to that one.
static CHANGE: Lock = Lock::new();

fn shortened() -> Option<&'static Shortened> {
    // SAFETY: null or a record that was placed, which lives for ever.
    unsafe { SHORTENED.load(Acquire).as_ref() }
}

/// Makes caches short, if they are not.
pub fn tighten() {
    let Some(_changing) = CHANGE.try_lock() else { return };
    let current = policy::current();
    let known = shortened().filter(|pair| ptr::eq(pair.usual, current) || ptr::eq(&pair.short, current));
    let pair = known.or_else(|| metadata::place(Shortened { usual: current, short: current.with_short_caches() }));
    if let Some(pair) = pair {
        SHORTENED.store(ptr::from_ref(pair).cast_mut(), Release);
        policy::publish(&pair.short);
    }
}

/// In a child just forked, where whoever changed the policy is no more.
pub fn after_fork_in_child() {
    CHANGE.reset();
}

/// Brings the usual caches back, unless another policy has come in the meantime.
fn relax() {
    if let Some(pair) = shortened()
        && ptr::eq(policy::current(), &pair.short)
        && let Some(_changing) = CHANGE.try_lock()
    {
        policy::publish(pair.usual);
    }
}

/// The program's function: its argument, what is used in bytes, and the limit that was reached, 0 where it is pressure or a
/// refusal of the system.
pub type Call = unsafe extern "C" fn(argument: *mut c_void, used: usize, limit: usize);

/// A function that was registered. Never changed or unmapped, so that whoever calls it has both halves of the same pair.
#[derive(Clone, Copy)]
struct Registered {
    call: Option<Call>,
    argument: usize,
    older: Option<&'static Registered>,
}

static REGISTERED: AtomicPtr<Registered> = AtomicPtr::new(ptr::null_mut());
/// Every pair that ever was, so that one that comes again takes no new memory.
static NEWEST: AtomicPtr<Registered> = AtomicPtr::new(ptr::null_mut());
/// The process in which a call is under way, 0 for none. In a child forked in the middle of one, none is.
static TELLING: AtomicU32 = AtomicU32::new(0);

/// Registers the program's function in place of the one before; `None` takes it away. False when there is no memory to
/// remember it.
///
/// # Safety
/// `call` may be called with `argument` by any thread, at any time, until another one is registered and calls under way ended.
pub unsafe fn on_pressure(call: Option<Call>, argument: *mut c_void) -> bool {
    let argument = argument as usize;
    // SAFETY: null or a record that was placed, which lives for ever.
    let newest = unsafe { NEWEST.load(Acquire).as_ref() };
    let same = |record: &&Registered| {
        record.argument == argument && record.call.map(|it| it as usize) == call.map(|it| it as usize)
    };
    let known = core::iter::successors(newest, |record| record.older).find(same);
    let placed = || remember(call, argument, newest);
    let placed_in_room_made = || {
        everything();
        placed()
    };
    let Some(record) = known.or_else(placed).or_else(placed_in_room_made) else { return false };
    REGISTERED.store(ptr::from_ref(record).cast_mut(), Release);
    true
}

fn remember(call: Option<Call>, argument: usize, older: Option<&'static Registered>) -> Option<&'static Registered> {
    let record = metadata::place(Registered { call, argument, older })?;
    // A record that another thread places at the same moment may be left out of the list: then its pair takes memory twice.
    NEWEST.store(ptr::from_ref(record).cast_mut(), Release);
    Some(record)
}

/// Tells the program of the limit that is reached, or was a moment ago.
pub fn tell() {
    LAST_TOLD.store((kernel().now)(), Relaxed);
    let soft = accounting::limits().0;
    call(reached().unwrap_or(if soft == UNLIMITED { 0 } else { soft }));
}

/// Notes that an allocation fails, or would but for the program's function: at the hard limit, or because the system has no more.
pub fn note_failure(at_limit: bool) {
    FAILURES.fetch_add(usize::from(at_limit), Relaxed);
}

/// Tells the program of such a failure. Returns whether it was told, so that trying again makes sense.
pub fn tell_of_failure(at_limit: bool) -> bool {
    call(if at_limit { accounting::limits().1 } else { 0 })
}

/// Calls the program's function, unless a call is under way: nothing recurses. Keeps `errno`.
fn call(limit: usize) -> bool {
    // SAFETY: null or a record that was placed, which lives for ever.
    let Some(record) = (unsafe { REGISTERED.load(Acquire).as_ref() }) else { return false };
    let Some(call) = record.call else { return false };
    let (own, telling) = (process::id(), TELLING.load(Relaxed));
    if telling == own || TELLING.compare_exchange(telling, own, AcqRel, Relaxed).is_err() {
        return false;
    }
    let errno = process::errno();
    // SAFETY: whoever registered it said that it may be called so.
    unsafe { call(record.argument as *mut c_void, accounting::used(), limit) };
    process::set_errno(errno);
    TELLING.store(0, Release);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_a_limit_that_is_near_are_news() {
        let far = Reading { limit: 800, used: 699, ..Reading::NOTHING };
        let near = Reading { used: 700, ..far };
        assert!(!is_news(170, 160, &far) && is_news(171, 160, &far), "a sixteenth and more");
        assert!(!is_news(40, 160, &far), "less");
        assert!(is_news(64, 0, &far), "the first look");
        assert!(is_news(160, 160, &near) && is_news(40, 160, &near), "near the limit");
        assert!(is_news(160, 160, &Reading { used: 900, ..far }), "above it");
        assert!(!is_news(160, 160, &Reading::NOTHING), "without one");
    }
}
