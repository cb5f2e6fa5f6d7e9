//! aligned: blocks at multiples of 32 to 4096 bytes, at random over a fixed number of slots.
//!
//! Parameters: `steps`, `slots`, `low` and `high` (sizes in bytes), `seed`.

use super::{Parameters, Row, Workload};
use crate::{
    blocks::{Block, Slots},
    meter::Meter,
    random::Random,
    source::Malloc,
};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload {
    name: "aligned",
    stands_for: "vectors for the CPU's wide registers, cache lines and pages",
    rows: &[Row::quick("16-4096 x1000", "steps=4000000 slots=1000 low=16 high=4096 seed=1")],
    memory: false,
    axis: None,
    run,
    ceiling: None,
};

fn run(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let (low, high) = (parameters.size("low"), parameters.size("high"));
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
                let block = Block::allocate_aligned(alignment, random.between(low, high));
                *slot = Some(block);
            }
        }
    }
    meter.stop(steps);

    slots.release_all();
}
