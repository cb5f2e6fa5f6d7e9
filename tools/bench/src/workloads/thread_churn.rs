//! thread_churn: short-lived threads, each of which allocates some blocks, frees them and ends.
//!
//! Shows what a thread's first allocation and its end cost.
//!
//! Parameters: `steps` (threads altogether), `threads` (at a time), `blocks` (of each), `low` and `high` (sizes in
//! bytes), `seed`.

use super::prelude::*;
use std::thread;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "thread_churn",
    "a thread for each task",
    &[Row::quick("100 blocks x2", "steps=6000 threads=2 blocks=100 low=16 high=1024 seed=1")],
    run,
)
.over_time();

fn run(parameters: &Parameters, meter: &mut Meter) {
    let lines = parameters.get("threads");
    let threads = (parameters.get("steps") / lines).max(1);
    let sizes = parameters.sizes();
    let line = |index| (Slots::<Malloc>::new(parameters.size("blocks")), Random::new(parameters.get("seed") + index));
    let states: Vec<_> = (0..lines).map(line).collect();
    run_together(meter, threads * lines, states, |(mut slots, mut random)| {
        for _ in 0..threads {
            thread::scope(|scope| {
                scope.spawn(|| {
                    for slot in slots.iter_mut() {
                        *slot = Some(Block::allocate(sizes.draw(&mut random)));
                    }
                    slots.release_all();
                });
            });
        }
    });
}
