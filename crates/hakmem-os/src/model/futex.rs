//! The futex call of a model.
//!
//! It relies on a mutex and a condition of loom for each word that threads sleep on.
//!
//! # Safety
//! The word is in a static or in memory that stays mapped.

use super::words::AtomicU32;
use super::{Mode, mode, world, yield_now};
use core::sync::atomic::Ordering;
use std::rc::Rc;

/// Where threads sleep until a word changes. The mutex makes the look at the word and the falling asleep one step for the thread that
/// wakes them, as they are in the kernel.
pub(super) struct Bed {
    made: loom::sync::Mutex<()>,
    woken: loom::sync::Condvar,
}

fn bed(word: &AtomicU32) -> Rc<Bed> {
    let address = word.address();
    if let Some(bed) = world(|world| world.beds.get(&address).cloned()) {
        return bed;
    }
    let bed = Rc::new(Bed { made: loom::sync::Mutex::new(()), woken: loom::sync::Condvar::new() });
    world(|world| world.beds.insert(address, bed.clone()));
    bed
}

/// The futex call. A wait with a timeout may time out at once, so it only lets other threads go first.
pub(crate) fn futex(word: *mut u32, operation: i32, value: u32, timed: bool) -> isize {
    // SAFETY: stated at the top of this file.
    let word = unsafe { &*word.cast::<AtomicU32>() };
    let waits = operation == libc::FUTEX_WAIT;
    if waits && timed {
        yield_now();
        return 0;
    }
    if mode() != Mode::Exploring {
        let sleeps = waits && mode() == Mode::Alone && word.load(Ordering::Relaxed) == value;
        assert!(!sleeps, "there is nobody who would wake this thread");
        yield_now();
        return 0;
    }
    let bed = bed(word);
    let made = bed.made.lock().expect("no panic");
    if !waits {
        match value {
            1 => bed.woken.notify_one(),
            _ => bed.woken.notify_all(),
        }
    } else if word.load(Ordering::Relaxed) == value {
        drop(bed.woken.wait(made).expect("no panic"));
    }
    0
}
