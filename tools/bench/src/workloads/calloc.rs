//! calloc: zeroed blocks at random over a fixed number of slots; each is written all over before it is freed.
//!
//! An allocator that knows which memory is still zero from the system need not clear it.
//!
//! Parameters: `steps`, `slots`, `low` and `high` (sizes in bytes), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "calloc",
    "zeroed structs and tables",
    &[
        Row::quick("16-1024 x1000", "steps=5000000 slots=1000 low=16 high=1024 seed=1"),
        Row::new("64-1024 KiB x8", "steps=4000 slots=8 low=65536 high=1048576 seed=1"),
    ],
    run::<Malloc>,
)
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<S>::new(parameters.size("slots"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..steps {
        let index = random.below(slots.len());
        let slot = &mut slots[index];
        match slot.take() {
            Some(block) => block.release(),
            None => {
                let size = sizes.draw(&mut random);
                let mut block = Block::allocate_zeroed(size);
                block.fill_part(0, size);
                *slot = Some(block);
            }
        }
    }
    meter.stop(steps);

    slots.release_all();
}
