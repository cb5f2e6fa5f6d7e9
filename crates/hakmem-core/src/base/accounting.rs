//! The footprint: bytes mapped from the system, the part of them that may be resident, and the two limits of that part.
//!
//! ```text
//!   used = mapped - purged
//! ```
//!
//! Purged is what was given back, or never handed out; so whatever of ours is resident is used, and a bound on `used` is one
//! on resident memory. Memory is taken before it is mapped or handed out, and given when it was purged or unmapped.
//!
//! Where more is used than ever before, attention is demanded too: what lies idle had better go back first. The next time is a
//! sixteenth further on, so a process whose work changes all the time comes to rest, at the peak that it would have had anyhow.

use crate::base::demand::{self, LIMIT, NEW_PEAK};
use hakmem_os::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use hakmem_os::vm::{PAGE, Trial, would_map};

/// A limit that there is not.
pub const NONE: usize = usize::MAX;

static MAPPED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

static SOFT: AtomicUsize = AtomicUsize::new(NONE);
static HARD: AtomicUsize = AtomicUsize::new(NONE);
/// Whether the soft limit was crossed since `used` was last seen below it.
static ABOVE: AtomicBool = AtomicBool::new(false);
/// How often it was.
static CROSSINGS: AtomicUsize = AtomicUsize::new(0);
/// How often the hard limit refused something.
static REFUSALS: AtomicUsize = AtomicUsize::new(0);
/// More than this in use is a new peak. Below the first one there is little to gain.
static MARK: AtomicUsize = AtomicUsize::new(64 << 20);
/// How far a new peak is from the one before it, as a part of that.
const STEP: usize = 16;

/// Notes `bytes` mapped.
pub fn grow(bytes: usize) {
    let now = MAPPED.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
    note_use();
}

/// Notes `bytes` unmapped.
pub fn shrink(bytes: usize) {
    MAPPED.fetch_sub(bytes, Relaxed);
}

/// Takes `bytes` that may become resident; false where that would go beyond the hard limit. It leaves no trace if the bytes are
/// given again because the system has none.
pub fn take(bytes: usize) -> bool {
    if bytes == 0 {
        return true;
    }
    let hard = HARD.load(Relaxed);
    let sum = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= hard);
    let taken = USED.fetch_update(Relaxed, Relaxed, sum).is_ok();
    if !taken {
        REFUSALS.fetch_add(1, Relaxed);
    }
    taken
}

/// Whether `bytes` more could be had if `given` bytes of what is mapped went back first: so whether that is worth it. What cannot be had
/// is refused as it stands.
///
/// A limit of the system's that counts what is mapped has room for a request, once something went back, if and only if it has room for
/// the rest of the request now. Two refusals are of another kind: where there are too many mappings no size is granted, and fewer of
/// them may help; and what is more than the machine has in all is refused, however little of that is in use.
pub fn could_have(bytes: usize, given: usize) -> bool {
    if now().saturating_sub(given).min(used()).saturating_add(bytes) > HARD.load(Relaxed) {
        return false;
    }
    let rest = bytes.saturating_sub(given).next_multiple_of(PAGE);
    if rest == 0 {
        return true;
    }
    if !would_map(rest, Trial::Used) {
        return !would_map(PAGE, Trial::Used);
    }
    let whole = bytes.next_multiple_of(PAGE);
    would_map(whole, Trial::Used) || !would_map(whole, Trial::Untouched)
}

/// Demands attention where more is used than the soft limit says, or than ever before. Called when what was taken is there.
pub fn note_use() {
    let used = used();
    if used > SOFT.load(Relaxed) {
        note_above();
    }
    if used > MARK.load(Relaxed) {
        MARK.fetch_max(used + used / STEP, Relaxed);
        demand::note(NEW_PEAK);
    }
}

#[cold]
fn note_above() {
    if !ABOVE.swap(true, Relaxed) {
        CROSSINGS.fetch_add(1, Relaxed);
        demand::note(LIMIT);
    }
}

/// Takes `bytes` whatever the limits are.
pub fn hold(bytes: usize) {
    USED.fetch_add(bytes, Relaxed);
}

/// Gives `bytes` that are resident no more.
pub fn give(bytes: usize) {
    USED.fetch_sub(bytes, Relaxed);
}

/// Sets what is mapped and what is used, in a child just forked, where threads vanished between a change and its note.
pub fn count_anew(mapped: usize, used: usize) {
    MAPPED.store(mapped, Relaxed);
    USED.store(used, Relaxed);
}

/// Bytes mapped now.
pub fn now() -> usize {
    MAPPED.load(Relaxed)
}

/// The most bytes that were mapped at one time.
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Bytes that may be resident now. What is taken and not mapped yet, and may never be, does not count beyond what is mapped.
pub fn used() -> usize {
    USED.load(Relaxed).min(now())
}

/// The soft and the hard limit of `used`, in bytes; [`NONE`] where there is none.
pub fn limits() -> (usize, usize) {
    (SOFT.load(Relaxed), HARD.load(Relaxed))
}

/// Sets both limits. What is used already above the soft one counts as a crossing; above the hard one nothing more is taken.
pub fn set_limits(soft: usize, hard: usize) {
    HARD.store(hard, Relaxed);
    SOFT.store(soft, Relaxed);
    ABOVE.store(false, Relaxed);
    is_above();
}

/// Whether more is used than the soft limit says; if not, the next crossing counts again.
pub fn is_above() -> bool {
    if used() > SOFT.load(Relaxed) {
        note_above();
        return true;
    }
    ABOVE.store(false, Relaxed);
    false
}

/// How often the soft limit was crossed.
pub fn crossings() -> usize {
    CROSSINGS.load(Relaxed)
}

/// How often the hard limit refused something; one allocation may be refused several times.
pub fn refusals() -> usize {
    REFUSALS.load(Relaxed)
}
