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

use crate::bell;
use crate::decay;
use crate::heap;
use crate::kept;
use crate::limits;
use crate::policy;
use crate::room;
use crate::turn;
use hakmem_os::helper;
use hakmem_os::task::Memory;

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
    bell::allow(run);
}

fn has_work() -> bool {
    room::dirty() != 0 || kept::extent().kept != 0
}

extern "C" fn run() -> ! {
    let memory = bell::look(|| {
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
        bell::nap(interval * false_alarms.clamp(1, LONG_NAP));
        if bell::must_leave() {
            bell::leave();
        }
        bell::listen();
        let asked = bell::asked();
        let turn = if asked.is_some() { turn::wait() } else { turn::take() };
        if turn.is_none() && asked.is_none() {
            continue;
        }
        if memory.is_some() {
            limits::look_if_due();
        }
        if turn.is_some() && decay::see_to_it() {
            heap::open_gaps(false);
        }
        let heaps = heap::take_from(memory.as_ref(), asked.is_some());
        drop(turn);
        if let Some(number) = asked {
            bell::answer(number);
        }
        if has_work() || heaps.taken != 0 {
            (patience, lingering, false_alarms) = (1, LINGER, 0);
        } else if lingering != 0 {
            lingering -= 1;
        } else {
            let rang = if heaps.left == 0 {
                patience = 1;
                bell::rest(None, has_work)
            } else {
                let most = interval * patience;
                patience = (patience * 2).min(LONGEST);
                bell::rest(Some(most), has_work)
            };
            false_alarms = if rang { (false_alarms + 1).min(MOST_ALARMS) } else { 0 };
            lingering = false_alarms.saturating_sub(1);
        }
    }
}
