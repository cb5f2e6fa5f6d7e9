//! The scavenger: a thread that gives memory back while the program does nothing that would.
//!
//! Each pass purges what has been free for the decay time, and takes from every thread that did not allocate or free since
//! the last pass, and waits for work, all that its heap keeps at hand. It also looks at the system's limits, and at all threads that
//! wait when somebody asks for that. When nothing is left to do it sleeps until the bell
//! rings; when what is left cannot be taken, from threads that compute, it looks less and less often. When the bell keeps ringing
//! for memory that is in use again at each look, it looks half as often, and rests only after some looks: to rest and to be woken
//! at once are system calls that do nothing.
//!
//! It runs without a thread-local slot of its own, so nothing here may allocate or free blocks.

mod idle_threads;

pub use idle_threads::{Found, take_from};

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
const SHORTEST_MS: u64 = 50;
/// The longest sleep between looks at threads that compute, as a multiple of the shortest.
const LONGEST: u64 = 16;

/// How many times as long as usual it naps while the alarms are false, and how many of these in a row count. A longer nap would
/// keep an idle process waiting for its memory to go back.
const LONG_NAP: u64 = 2;
const MOST_ALARMS: u64 = 8;

/// Looks after the last time that something was given back: spans must be seen quiet before gaps are opened in them.
const LINGER: u64 = 3;

/// Lets it be started.
pub fn allow() {
    wake_up::allow(start);
}

/// Starts it; whether that went well.
fn start() -> bool {
    // A program with more rights than its user gives them up thread by thread; it gets none that it does not know of.
    !process::is_secure() && helper::start(run, metadata::note_mapped)
}

fn has_work() -> bool {
    availability::dirty() != 0 || large_cache::extent().kept != 0
}

extern "C" fn run() -> ! {
    let memory = wake_up::unless_shut_in(|| {
        helper::name(c"hakmem");
        let own_descriptors = helper::take_own_descriptors();
        own_descriptors.then(Memory::open).flatten()
    });
    let memory = memory.flatten();
    let (mut patience, mut lingering) = (1, 0);
    // How often in a row the bell rang and there was nothing to do.
    let mut false_alarms = 0;
    loop {
        // A little more than the time between two passes: the clock is coarse.
        let interval = (policy::current().decay_ms as u64 / 2).max(SHORTEST_MS) + 5;
        wake_up::nap(interval * false_alarms.clamp(1, LONG_NAP));
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
            limits::look_if_due();
        }
        if lock.as_ref().is_some_and(|lock| reclaim::answer_holding(lock, demand::TIME)) {
            heap::open_holes(false);
        }
        let heaps = idle_threads::take_from(memory.as_ref(), asked.is_some());
        drop(lock);
        if let Some(number) = asked {
            wake_up::complete_request(number);
        }
        if has_work() || heaps.taken != 0 {
            (patience, lingering, false_alarms) = (1, LINGER, 0);
        } else if lingering != 0 {
            lingering -= 1;
        } else {
            let rang = if heaps.left == 0 {
                patience = 1;
                wake_up::sleep(None, has_work)
            } else {
                let most = interval * patience;
                patience = (patience * 2).min(LONGEST);
                wake_up::sleep(Some(most), has_work)
            };
            false_alarms = if rang { (false_alarms + 1).min(MOST_ALARMS) } else { 0 };
            lingering = false_alarms.saturating_sub(1);
        }
    }
}
