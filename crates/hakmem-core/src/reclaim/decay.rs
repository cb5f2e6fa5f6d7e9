//! The decay: when free memory goes back to the system by itself.
//!
//! - At each *pass*, twice in the decay time: what the pass before found free already. So it stays for half the decay time at
//!   least and all of it at most.
//! - At a *trim*, in between: what is more than a third of all that is used, once it is half of it; and nearly all, when a
//!   thread ended. A program that turns to other work has less at its peak then. It may also want the same memory again at
//!   once, and pays for each page a second time: what that can cost is bounded by a budget, to a hundredth of the time that
//!   passes.
//!
//! Whoever makes a pass or a trim has the turn.

use crate::backend::availability;
use crate::backend::large_cache;
use crate::backend::purge::Purge;
use crate::backend::slabs;
use crate::base::accounting;
use crate::base::sizes::SLAB;
use crate::policy;
use crate::reclaim::limits;
use crate::reclaim::purge_lock;
use hakmem_os::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use hakmem_os::kernel::kernel;

/// The parts of what is used that may be free: more than the first is trimmed, down to the second; by an ending thread to the last.
const TOO_MUCH: usize = 2;
const ENOUGH: usize = 3;
const LEFT_BEHIND: usize = 16;
/// Less is not worth a trim.
const LEAST: usize = 1 << 20;
/// The budget for a decay time, but no more than so much for a millisecond. With half a second that is four pages for each: to
/// give one back and to touch it anew takes some 2.5 microseconds.
const BUDGET: usize = 8 << 20;
const EACH_MS: usize = 16 << 10;
/// What is not spent stays there for later, up to this.
const MOST: usize = 4 << 20;

static LAST_PASS: AtomicU64 = AtomicU64::new(0);
/// The same for a trim; before there was one, when the first pass was made, which is soon after the process began.
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

/// Whether so much is free that a trim may be due, if the budget lets it.
pub fn much_is_idle() -> bool {
    excess(TOO_MUCH) != 0 && excess(ENOUGH) >= LEAST
}

/// Makes a pass if one is due, or else a trim. Returns whether it was a pass. By who has the turn.
pub fn see_to_it() -> bool {
    let now = (kernel().now)();
    let due = pass_is_due(now);
    if due {
        if LAST_PASS.swap(now, Relaxed) == 0 {
            LAST_TRIM.store(now, Relaxed);
        }
        limits::follow();
        slabs::purge(Purge::Aged);
        large_cache::release(Purge::Aged);
    } else if much_is_idle() {
        trim(now, ENOUGH);
    }
    due
}

/// Trims what a thread leaves behind that ends.
pub fn after_thread() {
    if excess(LEFT_BEHIND) >= LEAST
        && let Some(_turn) = purge_lock::take()
    {
        trim((kernel().now)(), LEFT_BEHIND);
    }
}

fn pass_is_due(now: u64) -> bool {
    now.wrapping_sub(last_pass()) >= (policy::current().decay_ms as u64 / 2).max(1)
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

fn trim(now: u64, part: usize) {
    let budget = budget(now);
    let most = excess(part).min(budget);
    if most < LEAST {
        return;
    }
    let slabs = slabs::purge(Purge::Bytes(most));
    let mappings = large_cache::release(Purge::Bytes(most - slabs));
    // Where nothing could go back, such as one large mapping, the next attempt has time as well.
    LEFT.store(budget.saturating_sub((slabs + mappings).max(LEAST)), Relaxed);
    LAST_TRIM.store(now, Relaxed);
}
