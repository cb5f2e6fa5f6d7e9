//! The other way to make children: beside threads that work without a pause, and of a process whose threads have ended.
//!
//! Nothing is stepped here, so it runs under the sanitizers. The thread sanitizer looks away in a child that was forked beside other
//! threads, and watches one of a process at rest to its end. Of a bare `clone` it is not told: in such a child it takes the threads
//! for there that are gone, and what the child does to their heaps for races.
//!
//! # Safety
//! The unsafe code starts the allocator.

use crate::blocks::{self, Held};
use crate::child::{self, Task, Way};
use crate::traced::Trial;
use crate::words::Words;
use hakmem_core::{debug, process};
use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

/// Threads that work all the time.
const BUSY: u64 = 4;
/// Steps of a thread that comes and goes.
const SHORT: usize = 500;
/// Blocks that the threads share.
const PLACES: usize = 300;
/// What a child allocates most of.
const SIZES: &[usize] = &[64, 3000];

/// Where threads work.
struct Office {
    places: [Held; PLACES],
    /// Whether a thread is at the place.
    taken: [AtomicBool; PLACES],
    closing: AtomicBool,
    /// Steps that all have taken.
    steps: AtomicUsize,
}

/// What was said of children, and of how many.
pub type Complaints = BTreeMap<String, usize>;

/// How many children to make beside busy threads, and how many of the process at rest.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub busy: usize,
    pub at_rest: usize,
}

/// Makes children.
pub fn run(trial: Trial, counts: Counts) -> Complaints {
    let environment = [c"HAKMEM_SCAVENGER=0".as_ptr(), ptr::null()];
    // SAFETY: a terminated array of terminated strings, which outlive the call.
    unsafe { process::begin(environment.as_ptr()) };
    let words = Words::map();
    let task = Task { way: trial.way, words, sizes: SIZES, patience: trial.patience };
    let office = &Office::open();
    let mut complaints = Complaints::new();
    let mut make = || {
        words.clear();
        let status = child::make(task.way, || child::try_heap(&task));
        child::complaint(status, words).into_iter().for_each(|what| *complaints.entry(what).or_default() += 1);
    };
    if counts.busy > 0 {
        thread::scope(|scope| {
            let busy = (0..BUSY).map(|seed| scope.spawn(move || office.work(seed, usize::MAX))).collect();
            // A thread that starts or ends may hold locks of libc, which only `fork` puts right in the child.
            let changing = (task.way == Way::Fork).then(|| scope.spawn(|| office.let_threads_come_and_go()));
            for _ in 0..counts.busy {
                office.wait_for_work();
                make();
            }
            office.closing.store(true, Relaxed);
            join(busy);
            join(changing.into_iter().collect());
        });
        office.closing.store(false, Relaxed);
    }
    for round in 0..counts.at_rest as u64 {
        office.employ_two(round);
        make();
    }
    office.clear();
    if let Err(fault) = debug::validate() {
        complaints.insert(format!("the process itself: {}", fault.what), 1);
    }
    complaints
}

/// Waits for threads to their very end, their heaps' way to the pool included.
fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
}

impl Office {
    fn open() -> Office {
        Office {
            places: blocks::places(),
            taken: [const { AtomicBool::new(false) }; PLACES],
            closing: AtomicBool::new(false),
            steps: AtomicUsize::new(0),
        }
    }

    /// Takes so many steps, fewer when the office closes.
    fn work(&self, seed: u64, steps: usize) {
        let mut state = seed;
        for step in 0..steps {
            if self.closing.load(Relaxed) {
                break;
            }
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            self.step((state >> 32) as usize);
            self.steps.fetch_add(1, Relaxed);
            if step % 1024 == 1023 {
                // Leaves some of the machine to the children.
                thread::sleep(Duration::from_micros(1));
            }
        }
    }

    /// Allocates, frees or resizes at one place. Most blocks that a thread frees were another one's.
    fn step(&self, number: usize) {
        let at = number % PLACES;
        if self.taken[at].swap(true, Acquire) {
            return;
        }
        let size = match (number >> 16) % 64 {
            0 => 2 << 20,
            1..4 => 200_000,
            4..10 => 20_000,
            10..24 => 3000,
            class => 8 * class,
        };
        let place = self.places[at];
        match (number >> 24) % 8 {
            _ if !blocks::is_held(place) => blocks::hold_at(place, size),
            0 => blocks::resize(place, size),
            _ => blocks::drop_one(place),
        }
        self.taken[at].store(false, Release);
    }

    /// Lets threads start and end, two at a time.
    fn let_threads_come_and_go(&self) {
        for round in 0.. {
            if self.closing.load(Relaxed) {
                break;
            }
            self.employ_two(round);
        }
    }

    fn employ_two(&self, round: u64) {
        thread::scope(|scope| {
            join([1, 2].map(|n| scope.spawn(move || self.work(round << 8 | n << 4, SHORT))).into());
        });
    }

    /// Waits until the threads have done something more, so that no two children are of the same moment.
    fn wait_for_work(&self) {
        let before = self.steps.load(Relaxed);
        while self.steps.load(Relaxed) == before {
            thread::yield_now();
        }
    }

    /// Frees what is left.
    fn clear(&self) {
        self.places.into_iter().filter(|place| blocks::is_held(*place)).for_each(blocks::drop_one);
    }
}
