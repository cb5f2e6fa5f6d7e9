//! How the scavenger is woken by threads that have work for it, and the purge lock.
//!
//! # Safety
//! The cell is touched by the thread that holds the lock, or that has asked the scavenger and got its answer.

use hakmem_core::backend::availability;
use hakmem_core::base::wake_up;
use hakmem_core::map::metadata;
use hakmem_core::reclaim::purge_lock;
use hakmem_os::atomic::Cell;
use hakmem_os::helper;
use hakmem_os::model::{explore, spawn};

/// loom itself reports a scavenger that is never woken.
///
/// Catches: `Acquire` instead of `SeqCst` where the waking thread reads whether the scavenger sleeps, and where the
/// scavenger counts its work; a scavenger that does not check again before it sleeps.
#[test]
fn no_wake_up_is_lost() {
    explore("wake-up, one wakes it while the scavenger goes to rest", 4, || {
        // The scavenger is awake.
        wake_up::sleep(None, || true);
        let other = spawn(|| availability::note_dirty(1));
        while availability::dirty() == 0 {
            wake_up::sleep(None, || availability::dirty() != 0);
        }
        other.join();
        assert_eq!(availability::dirty(), 1);
    });
}

/// Catches: news that are noted after the scavenger is woken.
#[test]
fn no_news_is_lost() {
    explore("wake-up, one tells news while the scavenger goes to rest", 4, || {
        wake_up::sleep(None, || true);
        wake_up::begin_look();
        let other = spawn(wake_up::note_new_cache);
        // Returns only when the scavenger has received the news.
        wake_up::sleep(None, || false);
        other.join();
    });
}

/// Counts what threads do one after the other.
#[derive(Default)]
struct Counter(Cell<usize>);

// SAFETY: the models are to show that one thread at a time touches the cell.
unsafe impl Sync for Counter {}

impl Counter {
    fn new() -> &'static Counter {
        // SAFETY: the cell holds a number, for which zero is valid.
        unsafe { metadata::make::<Counter>() }.expect("memory")
    }

    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// The scavenger in short: it does what was asked for, and counts each round.
fn scavenge(wanted: &Counter, done: &Counter, rounds: &Counter) {
    loop {
        wake_up::nap(1);
        if wake_up::must_end() {
            wake_up::end();
        }
        wake_up::begin_look();
        let asked = wake_up::pending_request();
        rounds.add();
        if let Some(number) = asked {
            done.0.set(wanted.0.get());
            wake_up::complete_request(number);
        }
        wake_up::sleep(None, || false);
    }
}

/// Catches: `Relaxed` instead of `Release` in `complete_request`.
#[test]
fn a_thread_that_asks_finds_the_work_done() {
    explore("wake-up, one asks while the scavenger goes to rest, and ends it", 2, || {
        wake_up::sleep(None, || true);
        let (wanted, done, rounds) = (Counter::new(), Counter::new(), Counter::new());
        let other = helper::spawn(|| scavenge(wanted, done, rounds));
        wanted.add();
        wake_up::request_flush();
        assert_eq!(done.0.get(), 1);
        let tries = Cell::new(0);
        let call = || tries.replace(tries.get() + 1) == 1;
        assert!(wake_up::without_scavenger(call, |alone| alone));
        rounds.add();
        other.join();
    });
}

/// Catches: `Relaxed` instead of `SeqCst` at the end of `unless_shut_in`.
#[test]
fn the_scavenger_does_not_look_once_the_program_is_shut_in() {
    explore("wake-up, the program shuts itself in while the scavenger looks", 4, || {
        let counter = Counter::new();
        let other = spawn(|| [(); 2].map(|()| wake_up::unless_shut_in(|| counter.add()).is_some()));
        wake_up::shut_in();
        counter.add();
        let looks = other.join();
        assert_eq!(counter.0.get(), 1 + looks.into_iter().filter(|looked| *looked).count());
    });
}

/// Catches: a failed call that restores the state before it, which another thread may have changed by now.
#[test]
fn a_failed_call_undoes_no_confinement_of_another_thread() {
    explore("wake-up, one shuts the program in and one fails to", 4, || {
        let other = spawn(|| wake_up::shut_in_by(|| true, |done| done));
        wake_up::shut_in_by(|| false, |done| done);
        other.join();
        assert!(wake_up::is_shut_in());
    });
}

/// Catches: `Relaxed` instead of `AcqRel` in `take`, or instead of `Release` where the lock is released.
#[test]
fn one_thread_at_a_time_has_the_purge_lock() {
    explore("purge lock, two take it", 4, || {
        let purges = Counter::new();
        let purge = || purge_lock::take().map(|_held| purges.add()).is_some();
        let other = spawn(purge);
        let mine = purge();
        let theirs = other.join();
        let _held = purge_lock::take().expect("the lock is free");
        assert_eq!(purges.0.get(), usize::from(mine) + usize::from(theirs));
        assert!(mine || theirs);
    });
}
