//! aligned: blocks at multiples of 32 to 4096 bytes, at random over a fixed number of slots.
//!
//! Parameters: `steps`, `slots`, `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "aligned",
    "vectors for the CPU's wide registers, cache lines and pages",
    &[Row::quick("16-4096 x1000", "steps=4000000 slots=1000 low=16 high=4096 seed=1")],
    run,
);

fn run(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<Malloc>::new(parameters.size("slots"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..steps {
        let index = random.below(slots.len());
        let slot = &mut slots[index];
        match slot.take() {
            Some(block) => block.release(),
            None => {
                let alignment = 32 << random.below(8);
                let block = Block::allocate_aligned(alignment, sizes.draw(&mut random));
                *slot = Some(block);
            }
        }
    }
    meter.stop(steps);

    slots.release_all();
}
