//! larson: server threads that replace blocks at random, die, and hand what they hold to a successor.
//!
//! After the benchmark of Larson and Krishnan (1998). Blocks outlive the thread that allocated them, and are freed by
//! another one.
//!
//! Parameters: `steps` (of all threads together), `threads` (at a time), `generations` (one after another), `slots`
//! (of each thread), `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;
use std::thread;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "larson",
    "a server whose threads come and go while its sessions stay",
    &[
        Row::new("1 thread", "steps=4000000 threads=1 generations=50 slots=1000 low=8 high=1000 seed=1"),
        Row::quick("2 threads", "steps=4000000 threads=2 generations=50 slots=1000 low=8 high=1000 seed=1"),
        Row::new("8 threads", "steps=4000000 threads=8 generations=50 slots=1000 low=8 high=1000 seed=1"),
    ],
    run,
)
.along("threads");

fn run(parameters: &Parameters, meter: &mut Meter) {
    let (threads, generations) = (parameters.get("threads"), parameters.get("generations"));
    let steps = (parameters.get("steps") / threads / generations).max(1);
    let sizes = parameters.sizes();
    let lines = (0..threads).map(|index| {
        let mut slots = Slots::<Malloc>::new(parameters.size("slots"));
        slots.iter_mut().for_each(|slot| *slot = Some(Block::allocate(sizes.low)));
        (slots, Random::new(parameters.get("seed") + index))
    });

    let lines: Vec<_> = lines.collect();
    run_together(meter, steps * threads * generations, lines, |(mut slots, mut random)| {
        for _ in 0..generations {
            // Scoped: the successor takes over when this one is gone.
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..steps {
                        let index = random.below(slots.len());
                        slots.renew(index, sizes.draw(&mut random));
                    }
                });
            });
        }
        slots.release_all();
    });
}
