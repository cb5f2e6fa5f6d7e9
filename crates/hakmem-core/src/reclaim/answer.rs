//! Releases the memory that demands ask for; `base::demand` lists them. `heap::slow_path_end` flushes caches and calls the
//! program where a limit was reached.

use super::decay::{self, PART_KEPT, PART_KEPT_AT_THREAD_END};
use super::limits;
use super::purge::{purge, purge_everything};
use super::purge_lock::{self, PurgeLock};
use crate::backend::purge::Purge;
use crate::base::demand::{EXCESS, LIMIT, NEW_PEAK, THREAD_ENDED, TIME};
use hakmem_os::kernel::kernel;

/// Releases the memory that the bits of `demand` ask for. A limit is answered without the purge lock. While another
/// thread holds that lock nothing else is answered, since that thread releases the same memory.
pub fn answer(demand: u32) {
    if demand & LIMIT != 0 {
        purge_everything();
        limits::shorten_caches();
    } else if demand != 0
        && let Some(lock) = purge_lock::take()
    {
        answer_holding(&lock, demand);
    }
}

/// Answers all demands except a limit. The caller holds the purge lock. Returns whether this was a decay pass.
pub fn answer_holding(_lock: &PurgeLock, demand: u32) -> bool {
    let now = (kernel().now)();
    if demand & NEW_PEAK != 0 {
        // Slabs that were used since the previous peak are likely to be used again, so only aged ones are purged.
        purge(Purge::Aged);
    }
    if demand & (TIME | EXCESS) != 0 {
        if decay::pass_is_due(now) {
            decay::note_pass(now);
            limits::enforce();
            purge(Purge::Aged);
            return true;
        }
        if decay::has_excess() {
            trim(now, PART_KEPT);
        }
    }
    if demand & THREAD_ENDED != 0 {
        trim(now, PART_KEPT_AT_THREAD_END);
    }
    false
}

/// Purges free memory beyond one part in `part` of the used memory, as far as the budget allows.
fn trim(now: u64, part: usize) {
    let most = decay::trim_bytes(now, part);
    if most != 0 {
        decay::note_trim(now, purge(Purge::Bytes(most)));
    }
}
