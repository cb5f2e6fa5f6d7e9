//! What the stepped thread does: each scenario leads through a few slow paths.
//!
//! # Safety
//! The unsafe code makes a key for a thread's own data, with a function for the thread's end.

use crate::blocks::{Held, drop_one, hold, resize};
use crate::clock;
use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{availability, slabs};
use hakmem_core::base::{demand, wake_up};
use hakmem_core::heap::{Heap, Status};
use hakmem_core::reclaim;
use hakmem_core::{heap, policy, stats};
use hakmem_os::{helper, slot};
use std::ffi::{CStr, c_void};
use std::sync::mpsc;
use std::thread;

/// Something that is done step by step.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The sizes of small blocks that it is about.
    pub sizes: &'static [usize],
    /// Settings, as in the environment.
    pub settings: &'static [&'static CStr],
    /// Whether it goes on until the thread has ended.
    pub ends: bool,
    /// Whose steps are taken.
    pub stepped: Stepped,
    /// Whether it calls what no program calls by itself, so that no signal handler interrupts just that.
    pub is_part: bool,
    /// What is done before, and not stepped through.
    pub prepare: fn(&mut World),
    /// What is stepped through; where the scavenger is, what starts it.
    pub act: fn(&mut World),
    /// Whether the steps came to what they were to lead to, asked at the end.
    pub reached: fn() -> bool,
}

/// Which thread is stepped through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stepped {
    /// The one that runs the scenario.
    Itself,
    /// The scavenger that it starts, from its first instruction until it is about to sleep for the n-th time, or ends before.
    Scavenger(usize),
}

/// What a scenario keeps between its two parts.
#[derive(Default)]
pub struct World {
    blocks: Vec<Held>,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const USUAL: Scenario = Scenario {
    name: "",
    sizes: &[],
    settings: &[],
    ends: false,
    stepped: Stepped::Itself,
    is_part: false,
    prepare: |_| {},
    act: |_| {},
    reached: || true,
};

/// All of them.
pub static SCENARIOS: &[Scenario] = &[
    Scenario { name: "first heap of a thread", sizes: &[64], act: |world| world.hold(2, 64), ..USUAL },
    Scenario {
        name: "heap of a thread that ended",
        sizes: &[64],
        prepare: |_| elsewhere(false, || (0..20).for_each(|_| drop_one(hold(64)))),
        act: |world| world.hold(2, 64),
        ..USUAL
    },
    Scenario {
        name: "thread ends",
        sizes: &[64, 2000],
        ends: true,
        prepare: |world| {
            world.hold(200, 64);
            world.hold(40, 2000);
            world.hold(4, 100 * KIB);
            world.free_but_one_in(3);
        },
        ..USUAL
    },
    Scenario {
        name: "thread allocates after its end",
        sizes: &[64, 2000],
        ends: true,
        prepare: |world| {
            world.hold(20, 64);
            // Destructors of keys run in the order in which the keys were made: this one when the thread has no heap any more.
            extern "C" fn late(_: *mut c_void) {
                [64, 2000, 100 * KIB, 2 * MIB].into_iter().for_each(|size| drop_one(hold(size)));
            }
            let mut key = 0;
            // SAFETY: writes the key; the function lives as long as the program.
            unsafe {
                libc::pthread_key_create(&mut key, Some(late));
                libc::pthread_setspecific(key, (&raw const SCENARIOS).cast());
            }
        },
        ..USUAL
    },
    Scenario {
        name: "refill from a run",
        sizes: &[48, 4000],
        prepare: |world| {
            world.hold(1, 48);
            world.hold(1, 4000);
        },
        act: |world| {
            world.hold(25, 48);
            world.hold(4, 4000);
        },
        ..USUAL
    },
    Scenario {
        name: "new spans",
        sizes: &[24, 1500, 30_000],
        prepare: |world| world.hold(1, 64),
        act: |world| [24, 1500, 9000, 30_000].into_iter().for_each(|size| world.hold(1, size)),
        ..USUAL
    },
    Scenario {
        name: "refill from partly used spans",
        sizes: &[500, 3000],
        prepare: |world| {
            world.hold(400, 500);
            world.hold(60, 3000);
            world.free_but_one_in(4);
            heap::collect();
        },
        act: |world| {
            world.hold(60, 500);
            world.hold(20, 3000);
        },
        ..USUAL
    },
    Scenario {
        name: "new segments",
        sizes: &[30_000],
        prepare: |world| world.hold(1, 64),
        act: |world| {
            world.hold(3, MIB);
            world.hold(1, 30_000);
        },
        ..USUAL
    },
    Scenario {
        name: "full bins",
        sizes: &[64, 20_000],
        settings: &[c"HAKMEM_CACHE_BLOCKS=64"],
        prepare: |world| {
            world.hold(600, 64);
            world.hold(40, 20_000);
        },
        act: |world| world.free_all(),
        ..USUAL
    },
    Scenario {
        name: "small caches",
        sizes: &[64, 20_000],
        settings: &[c"HAKMEM_PROFILE=small", c"HAKMEM_CACHE_TOTAL=0"],
        prepare: |world| {
            world.hold(300, 64);
            world.hold(30, 20_000);
        },
        act: |world| {
            world.free_all();
            world.hold(20, 64);
        },
        ..USUAL
    },
    Scenario {
        name: "frees for other threads",
        sizes: &[64, 3000],
        prepare: |world| {
            // More heaps than there are routes, the blocks of which lie one behind the other.
            for _ in 0..6 {
                world.of_another_thread(30, 64);
                world.of_another_thread(5, 3000);
            }
            world.hold(10, 64);
        },
        act: |world| {
            let count = world.blocks.len();
            // Each one of another thread than the one before.
            (0..35).for_each(|first| world.blocks[..count].iter().skip(first).step_by(35).for_each(|at| drop_one(*at)));
        },
        ..USUAL
    },
    Scenario {
        name: "many frees for another thread",
        sizes: &[64],
        settings: &[c"HAKMEM_REMOTE_BATCH=16"],
        prepare: |world| {
            world.hold(1, 64);
            world.of_another_thread(80, 64);
        },
        act: |world| world.blocks.drain(1..).for_each(drop_one),
        ..USUAL
    },
    Scenario {
        name: "frees for a thread that sleeps",
        sizes: &[30_000],
        settings: &[c"HAKMEM_REMOTE_BYTES=1M"],
        prepare: |world| {
            world.hold(1, 64);
            world.of_another_thread(180, 30_000);
        },
        act: |world| world.blocks.drain(1..).for_each(drop_one),
        ..USUAL
    },
    Scenario {
        name: "blocks that others freed",
        sizes: &[64, 3000],
        prepare: |world| {
            world.hold(150, 64);
            world.hold(60, 3000);
            world.freed_elsewhere(3);
        },
        act: |world| {
            world.hold(60, 64);
            world.hold(20, 3000);
        },
        ..USUAL
    },
    Scenario {
        name: "blocks that others freed, into spans",
        sizes: &[64, 3000],
        prepare: |world| {
            world.hold(150, 64);
            world.hold(60, 3000);
            world.freed_elsewhere(3);
        },
        act: |_| heap::collect(),
        ..USUAL
    },
    Scenario {
        name: "medium blocks",
        sizes: &[],
        prepare: |world| {
            world.hold(20, 200 * KIB);
            world.hold(1, 40 * KIB);
            world.blocks.drain(..3).for_each(drop_one);
        },
        act: |world| {
            world.hold(2, 100 * KIB);
            world.hold(1, 150 * KIB);
            world.free_all();
            world.hold(1, 100 * KIB);
            for size in [300 * KIB, 150 * KIB, 40 * KIB, 800 * KIB] {
                world.resize(size);
            }
        },
        ..USUAL
    },
    Scenario {
        name: "large blocks",
        sizes: &[],
        prepare: |world| world.hold(1, 64),
        act: |world| {
            world.hold(1, 3 * MIB);
            world.hold(2, 2 * MIB);
            world.free_all();
            world.hold(1, 5 * MIB / 4);
            world.hold(1, 6 * MIB);
            world.hold(1, 9 * MIB);
            world.free_all();
            heap::trim();
        },
        ..USUAL
    },
    Scenario {
        name: "large blocks that nobody keeps",
        sizes: &[],
        settings: &[c"HAKMEM_RETAIN_BYTES=0"],
        prepare: |world| {
            world.hold(1, 64);
            world.hold(2, 2 * MIB);
        },
        act: |world| {
            world.free_all();
            world.hold(1, 3 * MIB);
            world.free_all();
        },
        ..USUAL
    },
    Scenario {
        name: "large blocks that grow and shrink",
        sizes: &[],
        prepare: |world| {
            world.hold(1, 2 * MIB);
            world.hold(1, 2 * MIB);
            world.hold(1, 2 * MIB);
            world.blocks.swap(0, 2);
        },
        act: |world| {
            for size in [5 * MIB, 20 * MIB, 3 * MIB, 1200 * KIB, 100 * KIB, 5000, 2 * MIB] {
                world.resize(size);
            }
        },
        ..USUAL
    },
    Scenario {
        name: "gaps in spans",
        sizes: &[1000],
        prepare: |world| {
            world.hold(300, 1000);
            world.free_but_one_in(16);
            heap::collect();
            // That opened some; a few blocks more, and there is something left to do.
            world.hold(120, 1000);
            world.blocks.drain(20..).for_each(drop_one);
            world.blocks.reserve(100);
        },
        act: |world| {
            heap::collect();
            world.hold(100, 1000);
        },
        ..USUAL
    },
    Scenario {
        name: "pass of the decay",
        is_part: true,
        sizes: &[20_000],
        prepare: |world| {
            world.what_a_pass_gives_back();
            clock::turn(policy::current().decay_ms);
        },
        act: |_| {
            reclaim::answer(demand::TIME);
        },
        ..USUAL
    },
    Scenario {
        name: "everything is given back",
        sizes: &[64],
        prepare: |world| {
            world.hold(300, 64);
            world.hold(30, 20_000);
            world.hold(4, MIB);
            world.hold(2, 3 * MIB);
            world.of_another_thread(20, 64);
            world.free_but_one_in(5);
        },
        act: |_| _ = heap::trim(),
        ..USUAL
    },
    Scenario {
        name: "free slabs are purged",
        is_part: true,
        sizes: &[20_000],
        prepare: |world| {
            world.hold(30, 20_000);
            world.hold(5, MIB);
            world.free_but_one_in(12);
            heap::collect();
        },
        act: |_| _ = slabs::purge(Purge::All),
        ..USUAL
    },
    Scenario {
        name: "thread that starts the scavenger",
        // It naps for longer than the scenario takes.
        settings: &[c"HAKMEM_SCAVENGE_FROM=64M", c"HAKMEM_DECAY_MS=3600000"],
        prepare: |world| world.hold(1, 64),
        act: |_| start_scavenger(),
        reached: || !helper::is_over(0),
        ..USUAL
    },
    Scenario { name: "scavenger begins", stepped: Stepped::Scavenger(1), ..SCAVENGED },
    Scenario {
        name: "scavenger makes a pass",
        sizes: &[20_000],
        stepped: Stepped::Scavenger(2),
        prepare: World::what_a_pass_gives_back,
        act: |_| start_scavenger_in_time(),
        reached: || availability::dirty() == 0,
        ..SCAVENGED
    },
    Scenario {
        name: "scavenger opens gaps in spans",
        sizes: &[1000],
        settings: &[
            c"HAKMEM_SCAVENGE_FROM=64M",
            c"HAKMEM_DECAY_MS=100",
            c"HAKMEM_CACHE_BLOCKS=8",
            c"HAKMEM_CACHE_TOTAL=0",
        ],
        stepped: Stepped::Scavenger(2),
        prepare: |world| {
            world.hold(300, 1000);
            world.free_but_one_in(16);
            heap::open_holes(false);
        },
        act: |_| start_scavenger_in_time(),
        reached: || {
            let slabs = slabs::extent();
            stats::totals().purged_bytes as usize > slabs.free - slabs.dirty
        },
        ..SCAVENGED
    },
    Scenario {
        name: "scavenger empties the heaps of threads that wait",
        sizes: &[64, 3000],
        stepped: Stepped::Scavenger(4),
        prepare: World::left_with_threads_that_wait,
        reached: || with_status(Status::Taken) != 0,
        ..SCAVENGED
    },
    Scenario {
        name: "scavenger does so because it is asked",
        sizes: &[64, 3000],
        stepped: Stepped::Scavenger(2),
        prepare: World::left_with_threads_that_wait,
        act: |_| {
            start_scavenger();
            thread::spawn(|| {
                // It may not wait as long as the answer takes here, but what it asked for is done.
                wake_up::request_flush();
                live_on();
            });
        },
        reached: || with_status(Status::Taken) != 0,
        ..SCAVENGED
    },
    Scenario {
        name: "scavenger buries the heap of a thread that is gone",
        sizes: &[64, 3000],
        stepped: Stepped::Scavenger(4),
        prepare: |world| {
            world.hold(10, 64);
            elsewhere(true, || {
                (0..50).for_each(|_| drop_one(hold(64)));
                (0..20).for_each(|_| _ = hold(3000));
                drop_one(hold(100 * KIB));
                // As if the slot's memory were somebody else's by now.
                slot::set_state(0);
                slot::set_distance(0);
                slot::set_heap(0);
            });
        },
        reached: || with_status(Status::Pooled) != 0,
        ..SCAVENGED
    },
    Scenario {
        name: "scavenger ends",
        stepped: Stepped::Scavenger(100),
        act: |_| {
            start_scavenger();
            thread::spawn(|| {
                while !wake_up::without_scavenger(|| helper::is_over(0), |over| over) {}
                live_on();
            });
        },
        reached: || helper::is_over(0),
        ..SCAVENGED
    },
];

/// The scavenger is stepped through, which naps for a moment only.
const SCAVENGED: Scenario = Scenario {
    settings: &[c"HAKMEM_SCAVENGE_FROM=64M", c"HAKMEM_DECAY_MS=100"],
    stepped: Stepped::Scavenger(1),
    prepare: |world| world.hold(1, 64),
    act: |_| start_scavenger(),
    ..USUAL
};

/// Rings the bell with more mapped than the scavenger waits for.
fn start_scavenger() {
    drop_one(hold(70 * MIB));
}

/// The same when a pass is due, which this thread does not make itself.
fn start_scavenger_in_time() {
    start_scavenger();
    clock::turn(policy::current().decay_ms);
}

/// How many heaps have this status.
fn with_status(status: Status) -> usize {
    Heap::all().filter(|heap| heap.status() == status).count()
}

/// Makes a pass of the decay.
fn pass() {
    clock::turn(policy::current().decay_ms);
    reclaim::answer(demand::TIME);
}

/// Lets another thread do something, and waits for that. The thread lives on for as long as the process if it `stays`.
fn elsewhere(stays: bool, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        work();
        let _ = done.send(());
        if stays {
            live_on();
        }
    });
    let _ = wait.recv();
    if !stays {
        let _ = thread.join();
    }
}

/// Keeps a thread alive for as long as the process.
pub fn live_on() -> ! {
    loop {
        thread::park();
    }
}

impl World {
    fn hold(&mut self, count: usize, size: usize) {
        self.blocks.extend((0..count).map(|_| hold(size)));
    }

    fn free_all(&mut self) {
        self.blocks.drain(..).for_each(drop_one);
    }

    fn free_but_one_in(&mut self, count: usize) {
        let all = std::mem::take(&mut self.blocks);
        for (at, block) in all.into_iter().enumerate() {
            if at % count == 0 {
                self.blocks.push(block);
            } else {
                drop_one(block);
            }
        }
    }

    /// Resizes the first block.
    fn resize(&mut self, size: usize) {
        resize(self.blocks[0], size);
    }

    /// Frees what the next pass of the decay gives back.
    fn what_a_pass_gives_back(&mut self) {
        self.hold(30, 20_000);
        self.hold(4, MIB);
        self.hold(2, 3 * MIB);
        self.hold(1, 150 * KIB);
        self.free_but_one_in(9);
        heap::collect();
        pass();
        pass();
        // Free again since, and found free by one pass.
        self.hold(10, 20_000);
        self.hold(3, MIB);
        self.hold(1, 3 * MIB);
        self.free_but_one_in(9);
        heap::collect();
        pass();
    }

    /// Lets threads live on that have all kinds of free blocks at hand, in bins and on the way to each other.
    fn left_with_threads_that_wait(&mut self) {
        self.of_another_thread(240, 64);
        self.of_another_thread(20, 3000);
        self.freed_elsewhere(5);
        elsewhere(true, || {
            let blocks: Vec<_> = (0..40).map(|_| hold(64)).chain((0..3).map(|_| hold(100 * KIB))).collect();
            blocks.into_iter().skip(1).for_each(drop_one);
        });
    }

    /// Takes blocks that another thread allocated, which lives on.
    fn of_another_thread(&mut self, count: usize, size: usize) {
        let (give, take) = mpsc::channel();
        elsewhere(true, move || {
            let _ = give.send((0..count).map(|_| hold(size)).collect::<Vec<_>>());
        });
        self.blocks.extend(take.recv().into_iter().flatten());
    }

    /// Lets another thread, which lives on, free all but one in `count` blocks.
    fn freed_elsewhere(&mut self, count: usize) {
        let (kept, freed) =
            std::mem::take(&mut self.blocks).into_iter().enumerate().partition::<Vec<_>, _>(|(at, _)| at % count == 0);
        elsewhere(true, move || {
            freed.into_iter().for_each(|(_, block)| drop_one(block));
            // Hands over what it has collected.
            let _ = hold(64);
            heap::collect();
        });
        self.blocks = kept.into_iter().map(|(_, block)| block).collect();
    }
}
