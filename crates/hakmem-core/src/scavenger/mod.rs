//! The scavenger: a thread that releases memory while the program itself does not call the allocator.
//!
//! At each look the scavenger purges memory that was free for the decay time, and empties the heap of every thread that
//! waits for work and did not allocate or free since the last look. It also reads the system's limits. On request
//! (`wake_up::request_flush`) it empties the heaps of all waiting threads.
//!
//! When nothing is left to do the scavenger sleeps until a slow path wakes it. While the remaining heaps belong to
//! running threads, it looks less and less often. When it is woken several times in a row for memory that is in use
//! again at its next look (a *false alarm*), it looks half as often, and sleeps only after some further looks: sleeping
//! and being woken at once would cost system calls for nothing.
//!
//! The scavenger has no thread-local slot, so nothing here may allocate or free blocks.

mod idle_threads;

pub use idle_threads::{Found, empty_idle_heaps};

use crate::backend::availability;
use crate::backend::large_cache;
use crate::base::demand;
use crate::base::wake_up;
use crate::heap;
use crate::map::metadata;
use crate::policy;
use crate::reclaim;
use crate::reclaim::limits;
use crate::reclaim::purge_lock;
use hakmem_os::task::Memory;
use hakmem_os::{helper, process};

/// The shortest time between two looks.
const SHORTEST_INTERVAL_MS: u64 = 50;
/// The longest sleep while the remaining heaps belong to running threads, as a multiple of the time between two looks.
const LONGEST_SLEEP_FACTOR: u64 = 16;

/// While alarms are false the time between two looks is this many times as long. More would delay the release in an
/// idle process.
const LONG_NAP_FACTOR: u64 = 2;
/// At most this many false alarms in a row are counted. Each after the first delays the next sleep by one look.
const MOST_FALSE_ALARMS: u64 = 8;

/// Further looks after the last one that released something: a span must be seen unchanged at two looks before its
/// holes are opened.
const LOOKS_AFTER_WORK: u64 = 3;

/// Allows the scavenger to be started.
pub fn allow() {
    wake_up::allow(start);
}

/// Starts the scavenger. Returns whether it runs.
fn start() -> bool {
    // A program with more rights than its user drops them thread by thread, so no thread is started that it does not
    // know of.
    !process::is_secure() && helper::start(run, metadata::note_mapped)
}

fn has_work() -> bool {
    availability::dirty() != 0 || large_cache::extent().cached != 0
}

extern "C" fn run() -> ! {
    let memory = wake_up::unless_shut_in(|| {
        helper::name(c"hakmem");
        let own_descriptors = helper::take_own_descriptors();
        own_descriptors.then(Memory::open).flatten()
    });
    let memory = memory.flatten();
    let (mut sleep_factor, mut looks_left) = (1, 0);
    // The number of false alarms in a row.
    let mut false_alarms = 0;
    loop {
        // A little longer than the time between two passes, since the clock is coarse.
        let interval = (policy::current().decay_ms as u64 / 2).max(SHORTEST_INTERVAL_MS) + 5;
        wake_up::nap(interval * false_alarms.clamp(1, LONG_NAP_FACTOR));
        if wake_up::must_end() {
            wake_up::end();
        }
        wake_up::begin_look();
        let asked = wake_up::pending_request();
        let lock = if asked.is_some() { purge_lock::wait() } else { purge_lock::take() };
        if lock.is_none() && asked.is_none() {
            continue;
        }
        if memory.is_some() {
            limits::read_system_if_due();
        }
        if lock.as_ref().is_some_and(|lock| reclaim::answer_holding(lock, demand::TIME)) {
            heap::open_holes(false);
        }
        let heaps = idle_threads::empty_idle_heaps(memory.as_ref(), asked.is_some());
        drop(lock);
        if let Some(number) = asked {
            wake_up::complete_request(number);
        }
        if has_work() || heaps.taken != 0 {
            (sleep_factor, looks_left, false_alarms) = (1, LOOKS_AFTER_WORK, 0);
        } else if looks_left != 0 {
            looks_left -= 1;
        } else {
            let rang = if heaps.left == 0 {
                sleep_factor = 1;
                wake_up::sleep(None, has_work)
            } else {
                let most = interval * sleep_factor;
                sleep_factor = (sleep_factor * 2).min(LONGEST_SLEEP_FACTOR);
                wake_up::sleep(Some(most), has_work)
            };
            false_alarms = if rang { (false_alarms + 1).min(MOST_FALSE_ALARMS) } else { 0 };
            looks_left = false_alarms.saturating_sub(1);
        }
    }
}
