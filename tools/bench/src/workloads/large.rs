//! large: allocate, touch every page, free: blocks of 32 KiB to 64 MiB, each doubling as likely as the next.
//!
//! What it costs depends on whether freed memory is kept or given back to the system, whose price is page faults.
//!
//! Parameters: `steps`, `slots` (blocks live at a time), `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "large",
    "buffers for whole files, images and matrices",
    &[
        Row::new("32K-64M x1", "steps=400 slots=1 low=32768 high=67108864 seed=1"),
        Row::quick("32K-4M x16", "steps=3000 slots=16 low=32768 high=4194304 seed=1"),
    ],
    run::<Malloc>,
)
.over_time()
.then_idle(1)
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<S>::new(parameters.size("slots"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..steps {
        let index = random.below(slots.len());
        if let Some(block) = slots[index].take() {
            block.release();
        }
        let size = sizes.draw_scaled(&mut random);
        let mut block = Block::allocate(size);
        block.touch_pages(size);
        slots[index] = Some(block);
    }
    slots.release_all();
    meter.stop(steps);
}
