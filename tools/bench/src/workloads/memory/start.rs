//! memory_start: a program that needs next to no memory, and so shows what the allocator itself takes.
//!
//! Parameters: `steps` (blocks, all live at the end), `low` and `high` (sizes in bytes), `seed`.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_start",
    "small tools, and many processes on one machine",
    &[
        Row::new("1 block", "steps=1 low=100 high=100 seed=1"),
        Row::new("1000 blocks", "steps=1000 low=16 high=1024 seed=1"),
    ],
    run,
)
.over_time();

fn run(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.size("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<Malloc>::new(steps);
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for index in 0..steps {
        slots.renew(index, sizes.draw(&mut random));
    }
    meter.stop(steps as u64);

    slots.release_all();
}
