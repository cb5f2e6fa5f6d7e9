//! random_mixed: malloc and free at random over a fixed number of slots.
//!
//! Each step picks a slot: an occupied one is freed, an empty one gets a block of a random size whose first and last
//! byte are written. About half of the slots are occupied at any time. Few slots stay in the caches of the CPU and
//! show the fast paths; many show where an allocator keeps its lists.
//!
//! Parameters: `steps`, `slots`, `low` and `high` (sizes in bytes, both included), `seed`.

use super::{Parameters, Row, Workload};
use crate::{
    blocks::{Block, Slots},
    meter::Meter,
    random::Random,
};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload {
    name: "random_mixed",
    stands_for: "objects of mixed sizes and lifetimes in one thread",
    rows: &[
        Row { name: "16-1024 x400", parameters: "steps=20000000 slots=400 low=16 high=1024 seed=1" },
        Row { name: "16-1024 x8192", parameters: "steps=15000000 slots=8192 low=16 high=1024 seed=1" },
        Row { name: "16-1024 x100000", parameters: "steps=10000000 slots=100000 low=16 high=1024 seed=1" },
        Row { name: "128 x400", parameters: "steps=20000000 slots=400 low=128 high=128 seed=1" },
        Row { name: "1024 x400", parameters: "steps=20000000 slots=400 low=1024 high=1024 seed=1" },
        Row { name: "129-256 x400", parameters: "steps=20000000 slots=400 low=129 high=256 seed=1" },
        Row { name: "257-768 x400", parameters: "steps=20000000 slots=400 low=257 high=768 seed=1" },
        Row { name: "1024-8192 x256", parameters: "steps=10000000 slots=256 low=1024 high=8192 seed=1" },
        Row { name: "8192-32768 x256", parameters: "steps=5000000 slots=256 low=8192 high=32768 seed=1" },
    ],
    run,
};

fn run(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let (low, high) = (parameters.size("low"), parameters.size("high"));
    let mut slots = Slots::new(parameters.size("slots"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..steps {
        let index = random.below(slots.len());
        let slot = &mut slots[index];
        match slot.take() {
            Some(block) => block.release(),
            None => *slot = Some(Block::allocate(random.between(low, high))),
        }
    }
    meter.stop(steps);

    slots.release_all();
}
