//! The decay: when it is time for free memory to go back by itself, and how much of it. `answer` does it.
//!
//! - A *pass* is made twice in the decay time. What the pass before found free already goes back. So memory stays free for half the decay
//!   time at least and all of it at most.
//! - A *trim* is made in between, once half of all that is used is free: what is more than a third of it goes back; when a thread ended,
//!   nearly all. So a program that turns to other work has less at its peak. But a program may want the same memory again at once, and
//!   then pays for each page a second time. A budget bounds what that can cost to a hundredth of the time that passes.
//!
//! The budget grows with the time since the last trim, up to a bound:
//!
//! ```text
//!   budget  =  min( LEFT + passed * EACH_MS, MOST )          EACH_MS: 16 KiB, less with a short decay time;  MOST: 4 MiB
//! ```
//!
//! For example: 100 ms after a trim that left nothing of it, the budget is 1.6 MiB. If 10 MiB are free beyond the third, 1.6 MiB go back
//! now.

use crate::backend::availability;
use crate::backend::large_cache;
use crate::base::accounting;
use crate::base::sizes::SLAB;
use crate::policy;
use hakmem_os::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// A trim is made when more than one part in this many of what is used is free.
const TOO_MUCH: usize = 2;
/// It leaves one part in this many.
pub(super) const ENOUGH: usize = 3;
/// The same at the end of a thread.
pub(super) const LEFT_BEHIND: usize = 16;
/// Less is not worth a trim.
const LEAST: usize = 1 << 20;
/// What the budget grows by in one decay time, but no more than [`EACH_MS`] in a millisecond.
const BUDGET: usize = 8 << 20;
/// Four pages for each millisecond: to give one back and to touch it anew takes some 2.5 microseconds.
const EACH_MS: usize = 16 << 10;
/// What is not spent stays there for later, up to this.
const MOST: usize = 4 << 20;

static LAST_PASS: AtomicU64 = AtomicU64::new(0);
/// When the last trim was made; before there was one, when the first pass was made, which is soon after the process began.
static LAST_TRIM: AtomicU64 = AtomicU64::new(0);
/// What the last trim left of the budget.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// When the last pass was made, in the milliseconds of the coarse clock.
pub fn last_pass() -> u64 {
    LAST_PASS.load(Relaxed)
}

/// Whether it is time for a pass or a trim.
pub fn is_due() -> bool {
    let now = (kernel().now)();
    pass_is_due(now) || much_is_idle() && budget(now) >= LEAST
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

/// Whether so much is free that a trim may be due, if the budget lets it.
pub fn much_is_idle() -> bool {
    excess(TOO_MUCH) != 0 && excess(ENOUGH) >= LEAST
}

/// Bytes that are free and resident, beyond one part in `part` of what is used.
fn excess(part: usize) -> usize {
    (availability::dirty() * SLAB + large_cache::extent().kept).saturating_sub(accounting::used() / part)
}

fn budget(now: u64) -> usize {
    if last_pass() == 0 {
        return 0;
    }
    let each_ms = (BUDGET / policy::current().decay_ms.max(1)).min(EACH_MS);
    let passed = now.wrapping_sub(LAST_TRIM.load(Relaxed)) as usize;
    LEFT.load(Relaxed).saturating_add(passed.saturating_mul(each_ms)).min(MOST)
}

/// What a trim gives back that leaves one part in `part` of what is used; 0 where that is not worth it.
pub(super) fn trim_bytes(now: u64, part: usize) -> usize {
    let most = excess(part).min(budget(now));
    if most < LEAST { 0 } else { most }
}

/// Notes a trim that gave `bytes` back.
pub(super) fn note_trim(now: u64, bytes: usize) {
    // Where nothing could go back, such as one large mapping, the next attempt has time as well.
    LEFT.store(budget(now).saturating_sub(bytes.max(LEAST)), Relaxed);
    LAST_TRIM.store(now, Relaxed);
}
