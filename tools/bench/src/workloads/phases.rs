//! phases: a heap that grows and shrinks again and again; after each growth one block in ten, at random, stays.
//!
//! Parameters: `objects` (at the end of each growth), `steps` (growths), `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "phases",
    "requests, frames and collections that come in waves",
    &[
        Row::quick("16-512 x200000", "objects=200000 steps=12 low=16 high=512 seed=1"),
        Row::new("1024-65536 x4000", "objects=4000 steps=20 low=1024 high=65536 seed=1"),
    ],
    run::<Malloc>,
)
.over_time()
.then_idle(1)
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let growths = parameters.get("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<S>::new(parameters.size("objects"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..growths {
        for slot in slots.iter_mut() {
            if slot.is_none() {
                *slot = Some(Block::allocate(sizes.draw(&mut random)));
            }
        }
        for slot in slots.iter_mut() {
            if random.below(10) > 0
                && let Some(block) = slot.take()
            {
                block.release();
            }
        }
    }
    meter.stop(growths * slots.len() as u64);

    slots.release_all();
}
