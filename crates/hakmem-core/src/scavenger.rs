//! The scavenger: a thread that gives memory back while the program does nothing that would.
//!
//! Each pass purges what has been free for the decay time, and takes from every thread that did not allocate or free since
//! the last pass, and waits for work, all that its heap keeps at hand. When nothing is left to do it sleeps until the bell
//! rings; when what is left cannot be taken, from threads that compute, it looks less and less often.
//!
//! It runs without a thread-local slot of its own, so nothing here may allocate or free blocks.

use crate::bell;
use crate::decay;
use crate::heap;
use crate::kept;
use crate::policy;
use crate::room;
use crate::turn;
use hakmem_os::helper;

/// The shortest time between two looks.
const SHORTEST_MS: u64 = 50;
/// The longest sleep between looks at threads that compute, as a multiple of the shortest.
const LONGEST: u64 = 16;

/// Looks after the last time that something was given back: spans must be seen quiet before gaps are opened in them.
const LINGER: u32 = 3;

/// Lets it be started.
pub fn allow() {
    bell::allow(run);
}

fn has_work() -> bool {
    room::dirty() != 0 || kept::extent().kept != 0
}

extern "C" fn run() -> ! {
    helper::name(c"hakmem");
    let (mut patience, mut lingering) = (1, 0);
    loop {
        // A little more than the time between two passes: the clock is coarse.
        let interval = (policy::current().decay_ms as u64 / 2).max(SHORTEST_MS) + 5;
        bell::nap(interval);
        bell::listen();
        let Some(turn) = turn::take() else { continue };
        if decay::see_to_it() {
            heap::open_gaps(false);
        }
        let heaps = heap::take_from_idle();
        drop(turn);
        if has_work() || heaps.taken != 0 {
            (patience, lingering) = (1, LINGER);
        } else if lingering != 0 {
            lingering -= 1;
        } else if heaps.left == 0 {
            bell::rest(None, has_work);
            patience = 1;
        } else {
            bell::rest(Some(interval * patience), has_work);
            patience = (patience * 2).min(LONGEST);
        }
    }
}
