//! The decay: decides when free memory goes back without a request, and how much of it. `answer` releases it.
//!
//! - A *pass* is made twice in the decay time. It purges memory that the pass before found free already. So free memory
//!   stays resident for at least half the decay time and at most all of it.
//! - A *trim* is made between passes, once the free memory is more than half of the used memory (`accounting::used`).
//!   It purges the free memory beyond a third of the used memory; when a thread has ended, beyond a sixteenth. So a
//!   program that turns to other work has a lower peak. But a program may need the same memory again at once, and then
//!   pays for each page a second time. A budget bounds this cost to a hundredth of the elapsed time.
//!
//! The budget grows with the time since the last trim, up to a bound:
//!
//! ```text
//!   budget  =  min( BUDGET_LEFT + elapsed ms * BYTES_PER_MS, MOST_BUDGET )
//!
//!   BYTES_PER_MS: 16 KiB, less with a long decay time         MOST_BUDGET: 4 MiB
//! ```
//!
//! For example: 100 ms after a trim that used the whole budget, the budget is 1.6 MiB. If 10 MiB are free beyond the
//! third, a trim purges 1.6 MiB.

use crate::backend::availability;
use crate::backend::large_cache;
use crate::base::accounting;
use crate::base::sizes::SLAB;
use crate::policy;
use hakmem_os::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// A trim is made when more than one part in this many of the used memory is free.
const PART_TOO_MUCH: usize = 2;
/// A trim leaves free memory of one part in this many of the used memory.
pub(super) const PART_KEPT: usize = 3;
/// A trim at the end of a thread leaves one part in this many.
pub(super) const PART_KEPT_AT_THREAD_END: usize = 16;
/// A trim of fewer bytes is not worth its cost.
const LEAST_TRIM: usize = 1 << 20;
/// The budget grows by this many bytes in one decay time, but by at most [`BYTES_PER_MS`] in a millisecond.
const BUDGET_PER_DECAY: usize = 8 << 20;
/// Four pages per millisecond: purging a page and touching it again takes some 2.5 microseconds.
const BYTES_PER_MS: usize = 16 << 10;
/// The budget that is not spent accumulates up to this bound.
const MOST_BUDGET: usize = 4 << 20;

static LAST_PASS: AtomicU64 = AtomicU64::new(0);
/// When the last trim was made; before the first trim, when the first pass was made, which is soon after the process
/// started.
static LAST_TRIM: AtomicU64 = AtomicU64::new(0);
/// The budget that the last trim left.
static BUDGET_LEFT: AtomicUsize = AtomicUsize::new(0);

/// Returns when the last pass was made, in milliseconds of the coarse clock.
pub fn last_pass() -> u64 {
    LAST_PASS.load(Relaxed)
}

/// Whether it is time for a pass or a trim.
pub fn is_due() -> bool {
    let now = (kernel().now)();
    pass_is_due(now) || has_excess() && budget(now) >= LEAST_TRIM
}

/// Whether it is time for a pass.
pub(super) fn pass_is_due(now: u64) -> bool {
    now.wrapping_sub(last_pass()) >= (policy::current().decay_ms as u64 / 2).max(1)
}

/// Notes a pass.
pub(super) fn note_pass(now: u64) {
    if LAST_PASS.swap(now, Relaxed) == 0 {
        LAST_TRIM.store(now, Relaxed);
    }
}

/// Whether enough memory is free for a trim, if the budget allows one.
pub fn has_excess() -> bool {
    excess(PART_TOO_MUCH) != 0 && excess(PART_KEPT) >= LEAST_TRIM
}

/// Returns the bytes that are free and resident, beyond one part in `part` of the used memory.
fn excess(part: usize) -> usize {
    (availability::dirty() * SLAB + large_cache::extent().cached).saturating_sub(accounting::used() / part)
}

fn budget(now: u64) -> usize {
    if last_pass() == 0 {
        return 0;
    }
    let each_ms = (BUDGET_PER_DECAY / policy::current().decay_ms.max(1)).min(BYTES_PER_MS);
    let passed = now.wrapping_sub(LAST_TRIM.load(Relaxed)) as usize;
    BUDGET_LEFT.load(Relaxed).saturating_add(passed.saturating_mul(each_ms)).min(MOST_BUDGET)
}

/// Returns the bytes that a trim releases if it leaves free memory of one part in `part` of the used memory; 0 if they
/// are too few.
pub(super) fn trim_bytes(now: u64, part: usize) -> usize {
    let most = excess(part).min(budget(now));
    if most < LEAST_TRIM { 0 } else { most }
}

/// Notes a trim that released `bytes`.
pub(super) fn note_trim(now: u64, bytes: usize) {
    // A trim that could release nothing, because all was one large mapping for example, spends budget too: this delays
    // the next attempt.
    BUDGET_LEFT.store(budget(now).saturating_sub(bytes.max(LEAST_TRIM)), Relaxed);
    LAST_TRIM.store(now, Relaxed);
}
