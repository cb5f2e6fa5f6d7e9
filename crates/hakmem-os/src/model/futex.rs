//! The futex call of a model.
//!
//! It relies on a mutex and a condition variable of loom for each word that threads sleep on.
//!
//! # Safety
//! The word is in a static or in memory that stays mapped.

use super::words::AtomicU32;
use super::{Mode, mode, world, yield_now};
use core::sync::atomic::Ordering;
use std::rc::Rc;

/// The waiting queue of one word. Under the mutex a thread checks the word and goes to sleep in one step, as in the
/// kernel, so a thread that wakes it cannot come in between.
pub(super) struct Queue {
    lock: loom::sync::Mutex<()>,
    condition: loom::sync::Condvar,
}

fn queue(word: &AtomicU32) -> Rc<Queue> {
    let address = word.address();
    if let Some(queue) = world(|world| world.queues.get(&address).cloned()) {
        return queue;
    }
    let queue = Rc::new(Queue { lock: loom::sync::Mutex::new(()), condition: loom::sync::Condvar::new() });
    world(|world| world.queues.insert(address, queue.clone()));
    queue
}

/// The futex call. A wait with a timeout may time out at once, so it only lets other threads run.
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
        assert!(!sleeps, "no other thread can wake this one");
        yield_now();
        return 0;
    }
    let queue = queue(word);
    let guard = queue.lock.lock().expect("no panic");
    if !waits {
        match value {
            1 => queue.condition.notify_one(),
            _ => queue.condition.notify_all(),
        }
    } else if word.load(Ordering::Relaxed) == value {
        drop(queue.condition.wait(guard).expect("no panic"));
    }
    0
}
