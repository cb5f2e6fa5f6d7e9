//! latency: how long single calls of malloc and free take, from the usual one to the longest.
//!
//! The clock is the CPU's time stamp counter. What reading it costs is in every figure: the ceiling's row shows how
//! much that is. `burst` allocates all before it frees all, so that memory comes from the system and goes back.
//!
//! Parameters: `steps`, `threads`, `slots` (of each thread), `low` and `high` (sizes in bytes), `burst` (1 or 0),
//! `seed`.

use super::prelude::*;
use crate::{
    latency::{Recorder, ticks},
    meter::clock_ns,
};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "latency",
    "programs that must answer in time",
    &[
        Row::quick("16-1024 x8192", "steps=4000000 threads=1 slots=8192 low=16 high=1024 burst=0 seed=1"),
        Row::new("16-1024 x8192, 2 threads", "steps=4000000 threads=2 slots=8192 low=16 high=1024 burst=0 seed=1"),
        Row::new("1-256 KiB x256", "steps=400000 threads=1 slots=256 low=1024 high=262144 burst=0 seed=1"),
        Row::new("16-1024 burst", "steps=4000000 threads=1 slots=500000 low=16 high=1024 burst=1 seed=1"),
    ],
    run::<Malloc>,
)
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let threads = parameters.get("threads");
    let steps = (parameters.get("steps") / threads).max(1);
    let sizes = parameters.sizes();
    let burst = parameters.get("burst") == 1;
    let state = |index| {
        let random = Random::new(parameters.get("seed") + index);
        (Slots::<S>::new(parameters.size("slots")), random, Recorder::new())
    };
    let states: Vec<_> = (0..threads).map(state).collect();

    let (first_tick, began) = (ticks(), clock_ns(libc::CLOCK_MONOTONIC));
    let recorders = run_together(meter, steps * threads, states, |(mut slots, mut random, mut recorder)| {
        for step in 0..steps as usize {
            let index = if burst { step % slots.len() } else { random.below(slots.len()) };
            let slot = &mut slots[index];
            match slot.take() {
                Some(block) => recorder.time(|| block.release()),
                None => {
                    let size = sizes.draw(&mut random);
                    *slot = Some(recorder.time(|| Block::allocate(size)));
                }
            }
        }
        slots.release_all();
        recorder
    });
    let ns_per_tick = (clock_ns(libc::CLOCK_MONOTONIC) - began) as f64 / (ticks() - first_tick) as f64;
    let mut all = Recorder::new();
    recorders.iter().for_each(|recorder| all.add(recorder));
    meter.record_latency(all.finish(ns_per_tick));
}
