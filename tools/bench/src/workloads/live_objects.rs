//! live_objects: many small blocks are alive while some are replaced at random.
//!
//! Shows what an allocator's own data cost beside the objects, in memory and in cache misses.
//!
//! Parameters: `objects` (live), `steps` (replacements), `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "live_objects",
    "graphs, indexes and caches in memory",
    &[
        Row::new("10^4", "objects=10000 steps=4000000 low=16 high=64 seed=1"),
        Row::quick("10^5", "objects=100000 steps=4000000 low=16 high=64 seed=1"),
        Row::new("10^6", "objects=1000000 steps=4000000 low=16 high=64 seed=1"),
        Row::new("10^7", "objects=10000000 steps=4000000 low=16 high=64 seed=1"),
    ],
    run::<Malloc>,
)
.over_time()
.along("objects")
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<S>::new(parameters.size("objects"));
    let mut random = Random::new(parameters.get("seed"));
    for slot in slots.iter_mut() {
        *slot = Some(Block::allocate(sizes.draw(&mut random)));
    }

    meter.start();
    for _ in 0..steps {
        let index = random.below(slots.len());
        slots.renew(index, sizes.draw(&mut random));
    }
    meter.stop(steps);

    slots.release_all();
}
