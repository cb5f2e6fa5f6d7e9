//! The lock that sleeps.
//!
//! # Safety
//! What is guarded is touched under the lock.

use hakmem_core::map::metadata;
use hakmem_os::atomic::Cell;
use hakmem_os::futex::Lock;
use hakmem_os::model::{explore, spawn};

#[derive(Default)]
struct Guarded {
    lock: Lock,
    count: Cell<usize>,
}

// SAFETY: the cell is touched under the lock; the models are to show that this suffices.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new() -> &'static Guarded {
        // SAFETY: numbers: zero is valid.
        unsafe { metadata::make::<Guarded>() }.expect("memory")
    }

    fn add(&self) {
        let _held = self.lock.lock();
        self.count.set(self.count.get() + 1);
    }
}

/// loom itself says so where a thread sleeps for ever.
///
/// Catches: `Relaxed` in place of `Acquire` or `Release`; a thread that comes back from its sleep and does not say that others may
/// still sleep; no wake where somebody may sleep.
#[test]
fn one_at_a_time_has_the_lock_and_nobody_sleeps_for_ever() {
    explore("lock, three take it", 2, || {
        let guarded = Guarded::new();
        let others = [(); 2].map(|()| spawn(|| guarded.add()));
        guarded.add();
        others.into_iter().for_each(|other| other.join());
        assert_eq!(guarded.count.get(), 3);
    });
}

/// Catches: `Relaxed` in place of `Acquire` in `try_lock`.
#[test]
fn who_tries_the_lock_has_it_or_has_not() {
    explore("lock, one takes it and one tries", 4, || {
        let guarded = Guarded::new();
        let other = spawn(|| guarded.add());
        let mine = guarded.lock.try_lock().map(|_held| guarded.count.set(guarded.count.get() + 1)).is_some();
        other.join();
        assert_eq!(guarded.count.get(), 1 + usize::from(mine));
    });
}
