//! live_objects: many small blocks are alive while some are replaced at random.
//!
//! Shows what an allocator's own data cost beside the objects, in memory and in cache misses.
//!
//! Parameters: `objects` (live), `steps` (replacements), `low` and `high` (sizes in bytes), `seed`.

use super::{Parameters, Row, Workload};
use crate::{
    blocks::{Block, Slots},
    ceiling::Ceiling,
    meter::Meter,
    random::Random,
    source::{Malloc, Source},
};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload {
    name: "live_objects",
    stands_for: "graphs, indexes and caches in memory",
    rows: &[
        Row::new("10^4", "objects=10000 steps=4000000 low=16 high=64 seed=1"),
        Row::quick("10^5", "objects=100000 steps=4000000 low=16 high=64 seed=1"),
        Row::new("10^6", "objects=1000000 steps=4000000 low=16 high=64 seed=1"),
        Row::new("10^7", "objects=10000000 steps=4000000 low=16 high=64 seed=1"),
    ],
    memory: true,
    axis: Some("objects"),
    run: run::<Malloc>,
    ceiling: Some(run::<Ceiling>),
};

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let (low, high) = (parameters.size("low"), parameters.size("high"));
    let mut slots = Slots::<S>::new(parameters.size("objects"));
    let mut random = Random::new(parameters.get("seed"));
    for slot in slots.iter_mut() {
        *slot = Some(Block::allocate(random.between(low, high)));
    }

    meter.start();
    for _ in 0..steps {
        let index = random.below(slots.len());
        if let Some(block) = slots[index].take() {
            block.release();
        }
        slots[index] = Some(Block::allocate(random.between(low, high)));
    }
    meter.stop(steps);

    slots.release_all();
}
