//! The bell: who has something for the scavenger wakes it; and the turn.
//!
//! # Safety
//! What is given back is touched by who has the turn.

use hakmem_core::backend::availability;
use hakmem_core::base::wake_up;
use hakmem_core::map::metadata;
use hakmem_core::reclaim::purge_lock;
use hakmem_os::atomic::Cell;
use hakmem_os::helper;
use hakmem_os::model::{explore, spawn};

/// loom itself says so where the scavenger sleeps for ever.
///
/// Catches: `Acquire` in place of `SeqCst` where who rings reads whether the scavenger sleeps, and where the scavenger counts what
/// there is to do; a scavenger that does not look once more before it sleeps.
#[test]
fn no_ring_is_lost() {
    explore("bell, one rings while the scavenger goes to rest", 4, || {
        // Awake.
        wake_up::sleep(None, || true);
        let other = spawn(|| availability::note_dirty(1));
        while availability::dirty() == 0 {
            wake_up::sleep(None, || availability::dirty() != 0);
        }
        other.join();
        assert_eq!(availability::dirty(), 1);
    });
}

/// Catches: news that are told after the ring.
#[test]
fn no_news_is_lost() {
    explore("bell, one tells news while the scavenger goes to rest", 4, || {
        wake_up::sleep(None, || true);
        wake_up::begin_look();
        let other = spawn(wake_up::note_new_cache);
        // Returns only when it heard of it.
        wake_up::sleep(None, || false);
        other.join();
    });
}

/// What threads do one after the other.
#[derive(Default)]
struct Deeds(Cell<usize>);

// SAFETY: the models are to show that the cell is touched by one at a time.
unsafe impl Sync for Deeds {}

impl Deeds {
    fn new() -> &'static Deeds {
        // SAFETY: a number: zero is valid.
        unsafe { metadata::make::<Deeds>() }.expect("memory")
    }

    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// What the scavenger does, in short: what was asked for, and one thing more in each round.
fn scavenge(wanted: &Deeds, done: &Deeds, rounds: &Deeds) {
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

/// Catches: `Relaxed` in place of `Release` in `answer`.
#[test]
fn who_asks_finds_it_done() {
    explore("bell, one asks while the scavenger goes to rest, and ends it", 2, || {
        wake_up::sleep(None, || true);
        let (wanted, done, rounds) = (Deeds::new(), Deeds::new(), Deeds::new());
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

/// Catches: `Relaxed` in place of `SeqCst` at the end of `look`.
#[test]
fn nobody_looks_once_the_program_is_shut_in() {
    explore("bell, the program shuts itself in while the scavenger looks", 4, || {
        let deeds = Deeds::new();
        let other = spawn(|| [(); 2].map(|()| wake_up::unless_shut_in(|| deeds.add()).is_some()));
        wake_up::shut_in();
        deeds.add();
        let looks = other.join();
        assert_eq!(deeds.0.get(), 1 + looks.into_iter().filter(|looked| *looked).count());
    });
}

/// Catches: what was so before put back where a call failed, which may be another thread's doing by now.
#[test]
fn who_fails_to_shut_in_opens_nothing_that_others_shut() {
    explore("bell, one shuts the program in and one fails to", 4, || {
        let other = spawn(|| wake_up::shut_in_by(|| true, |done| done));
        wake_up::shut_in_by(|| false, |done| done);
        other.join();
        assert!(wake_up::is_shut_in());
    });
}

/// Catches: `Relaxed` in place of `AcqRel` in `take`, or of `Release` where the turn is given up.
#[test]
fn one_thread_at_a_time_has_the_turn() {
    explore("turn, two take it", 4, || {
        let given = Deeds::new();
        let give = || purge_lock::take().map(|_turn| given.add()).is_some();
        let other = spawn(give);
        let mine = give();
        let theirs = other.join();
        let _turn = purge_lock::take().expect("nobody has it");
        assert_eq!(given.0.get(), usize::from(mine) + usize::from(theirs));
        assert!(mine || theirs);
    });
}
