//! Memory accounting: the bytes mapped from the system, the bytes of them that may be resident (`used`), and the two
//! limits of `used`.
//!
//! ```text
//!   used = mapped - purged
//!
//!   |<----------------------- mapped 10 MiB ---------------------->|
//!   +------------------------+-----------------+-------------------+
//!   | in use or cached 5 MiB |   dirty 1 MiB   |   purged 4 MiB    |
//!   +------------------------+-----------------+-------------------+
//!   |<-------------- used 6 MiB -------------->|
//! ```
//!
//! Purged memory went back to the system, or was never handed out. So all resident memory of ours is used, and a limit
//! of `used` is a limit of resident memory. Memory is charged before it is mapped or handed out, and uncharged after it
//! was purged or unmapped.
//!
//! A new peak of `used` is noted in the demand word, so that idle memory goes back before the process grows further.
//! The next peak is noted a sixteenth above this one, so a process whose work changes all the time soon notes no more
//! peaks.

use crate::base::demand::{self, LIMIT, NEW_PEAK};
use hakmem_os::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use hakmem_os::vm::{PAGE, Trial, would_map};

/// The value of a limit that is not set.
pub const UNLIMITED: usize = usize::MAX;

/// Bytes mapped.
static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);
/// The most bytes that were mapped at one time.
static PEAK_MAPPED: AtomicUsize = AtomicUsize::new(0);
/// Bytes charged.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The soft limit: above it the allocator gives memory back, and the program is told.
static SOFT: AtomicUsize = AtomicUsize::new(UNLIMITED);
/// The hard limit: a charge that would go beyond it is refused.
static HARD: AtomicUsize = AtomicUsize::new(UNLIMITED);
/// Whether the soft limit was crossed since `used` was last seen below it.
static ABOVE_SOFT: AtomicBool = AtomicBool::new(false);
/// How often the soft limit was crossed.
static CROSSINGS: AtomicUsize = AtomicUsize::new(0);
/// How often the hard limit refused a charge.
static REFUSALS: AtomicUsize = AtomicUsize::new(0);
/// More bytes used than this are a new peak. It starts at 64 MiB, because below that there is little to gain.
static NEXT_PEAK: AtomicUsize = AtomicUsize::new(64 << 20);
/// The next peak is above the last one by one part in this many.
const PEAK_STEP: usize = 16;

/// Adds `bytes` to the mapped bytes.
pub fn add_mapped(bytes: usize) {
    let now = MAPPED_BYTES.fetch_add(bytes, Relaxed) + bytes;
    PEAK_MAPPED.fetch_max(now, Relaxed);
    note_use();
}

/// Subtracts `bytes`, which were unmapped, from the mapped bytes.
pub fn sub_mapped(bytes: usize) {
    MAPPED_BYTES.fetch_sub(bytes, Relaxed);
}

/// Charges `bytes` that may become resident. Returns false, without a charge, if that would go beyond the hard limit. A
/// charge that is uncharged because the system has no memory leaves no trace: it notes no peak and no crossing.
pub fn charge(bytes: usize) -> bool {
    if bytes == 0 {
        return true;
    }
    let hard = HARD.load(Relaxed);
    let sum = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= hard);
    let charged = USED.fetch_update(Relaxed, Relaxed, sum).is_ok();
    if !charged {
        REFUSALS.fetch_add(1, Relaxed);
    }
    charged
}

/// Whether a request for `bytes` can succeed after `freed` of the mapped bytes went back to the system. Callers ask this
/// before they give memory back for the request. A request that cannot succeed is refused without that.
///
/// A limit of the system that counts mapped bytes has room for the request afterwards if and only if it has room for the
/// rest of the request now. Two refusals are different. If there are too many mappings, the system grants no size, and
/// fewer mappings may help. If a request is for more memory than the machine has, the system refuses it even if little
/// of that memory is in use.
pub fn could_have(bytes: usize, freed: usize) -> bool {
    if mapped().saturating_sub(freed).min(used()).saturating_add(bytes) > HARD.load(Relaxed) {
        return false;
    }
    let rest = bytes.saturating_sub(freed).next_multiple_of(PAGE);
    if rest == 0 {
        return true;
    }
    if !would_map(rest, Trial::Used) {
        return !would_map(PAGE, Trial::Used);
    }
    let whole = bytes.next_multiple_of(PAGE);
    would_map(whole, Trial::Used) || !would_map(whole, Trial::Untouched)
}

/// Notes in the demand word if `used` is above the soft limit, or is a new peak. It is called when the charged memory
/// is mapped or handed out.
pub fn note_use() {
    let used = used();
    if used > SOFT.load(Relaxed) {
        note_above();
    }
    if used > NEXT_PEAK.load(Relaxed) {
        NEXT_PEAK.fetch_max(used + used / PEAK_STEP, Relaxed);
        demand::note(NEW_PEAK);
    }
}

#[cold]
fn note_above() {
    if !ABOVE_SOFT.swap(true, Relaxed) {
        CROSSINGS.fetch_add(1, Relaxed);
        demand::note(LIMIT);
    }
}

/// Charges `bytes` even beyond the limits.
pub fn charge_beyond_limits(bytes: usize) {
    USED.fetch_add(bytes, Relaxed);
}

/// Uncharges `bytes`, which are no longer resident.
pub fn uncharge(bytes: usize) {
    USED.fetch_sub(bytes, Relaxed);
}

/// Sets the mapped and the used bytes. It is called in a child just forked, because threads that do not exist there may
/// have changed memory without having counted that yet.
pub fn recount(mapped: usize, used: usize) {
    MAPPED_BYTES.store(mapped, Relaxed);
    USED.store(used, Relaxed);
}

/// Bytes mapped now.
pub fn mapped() -> usize {
    MAPPED_BYTES.load(Relaxed)
}

/// The most bytes that were mapped at one time.
pub fn peak() -> usize {
    PEAK_MAPPED.load(Relaxed)
}

/// Bytes that may be resident now. It is at most the mapped bytes: memory may be charged that is not mapped yet, or
/// never will be.
pub fn used() -> usize {
    USED.load(Relaxed).min(mapped())
}

/// The soft and the hard limit of `used`, in bytes; [`UNLIMITED`] for a limit that is not set.
pub fn limits() -> (usize, usize) {
    (SOFT.load(Relaxed), HARD.load(Relaxed))
}

/// Sets the soft and the hard limit. If `used` is above the soft limit already, that counts as a crossing. If it is
/// above the hard limit, further charges are refused.
pub fn set_limits(soft: usize, hard: usize) {
    HARD.store(hard, Relaxed);
    SOFT.store(soft, Relaxed);
    ABOVE_SOFT.store(false, Relaxed);
    check_soft_limit();
}

/// Whether `used` is above the soft limit. If it is not, the next crossing counts again.
pub fn check_soft_limit() -> bool {
    if used() > SOFT.load(Relaxed) {
        note_above();
        return true;
    }
    ABOVE_SOFT.store(false, Relaxed);
    false
}

/// How often the soft limit was crossed.
pub fn crossings() -> usize {
    CROSSINGS.load(Relaxed)
}

/// How often the hard limit refused a charge. One allocation may be refused several times.
pub fn refusals() -> usize {
    REFUSALS.load(Relaxed)
}
