//! The one place that answers what was noticed: `base::demand` says what that can be.

use super::decay::{self, ENOUGH, LEFT_BEHIND};
use super::limits;
use super::purge::{everything, purge};
use super::purge_lock::{self, PurgeLock};
use crate::backend::purge::Purge;
use crate::base::demand::{IDLE, LIMIT, NEW_PEAK, THREAD_ENDED, TIME};
use hakmem_os::kernel::kernel;

/// Gives back what the bits of `demand` ask for. All but the answer to a limit is left out while another thread holds the purge lock,
/// since that thread does the same.
pub fn answer(demand: u32) {
    if demand & LIMIT != 0 {
        everything();
        limits::tighten();
    } else if demand != 0
        && let Some(lock) = purge_lock::take()
    {
        answer_holding(&lock, demand);
    }
}

/// The same without the answer to a limit, by whoever holds the purge lock. Whether it was a pass of the decay.
pub fn answer_holding(_lock: &PurgeLock, demand: u32) -> bool {
    let now = (kernel().now)();
    if demand & NEW_PEAK != 0 {
        // What was used since the peak before this one is likely to be used again.
        purge(Purge::Aged);
    }
    if demand & (TIME | IDLE) != 0 {
        if decay::pass_is_due(now) {
            decay::note_pass(now);
            limits::follow();
            purge(Purge::Aged);
            return true;
        }
        if decay::much_is_idle() {
            trim(now, ENOUGH);
        }
    }
    if demand & THREAD_ENDED != 0 {
        trim(now, LEFT_BEHIND);
    }
    false
}

/// Gives back what is free beyond one part in `part` of what is used, as far as the budget allows.
fn trim(now: u64, part: usize) {
    let most = decay::trim_bytes(now, part);
    if most != 0 {
        decay::note_trim(now, purge(Purge::Bytes(most)));
    }
}
