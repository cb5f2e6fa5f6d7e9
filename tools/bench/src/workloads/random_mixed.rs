//! random_mixed: malloc and free at random over a fixed number of slots.
//!
//! Each step picks a slot: an occupied one is freed, an empty one gets a block of a random size whose first and last
//! byte are written. About half of the slots are occupied at any time. Few slots stay in the caches of the CPU and
//! show the fast paths; many show where an allocator keeps its lists.
//!
//! Parameters: `steps`, `slots`, `low` and `high` (sizes in bytes, both included), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "random_mixed",
    "objects of mixed sizes and lifetimes in one thread",
    &[
        Row::quick("16-1024 x400", "steps=20000000 slots=400 low=16 high=1024 seed=1"),
        Row::quick("16-1024 x8192", "steps=15000000 slots=8192 low=16 high=1024 seed=1"),
        Row::new("16-1024 x100000", "steps=10000000 slots=100000 low=16 high=1024 seed=1"),
        Row::new("128 x400", "steps=20000000 slots=400 low=128 high=128 seed=1"),
        Row::new("256 x400", "steps=20000000 slots=400 low=256 high=256 seed=1"),
        Row::new("512 x400", "steps=20000000 slots=400 low=512 high=512 seed=1"),
        Row::new("1024 x400", "steps=20000000 slots=400 low=1024 high=1024 seed=1"),
        Row::new("129-256 x400", "steps=20000000 slots=400 low=129 high=256 seed=1"),
        Row::quick("257-768 x400", "steps=20000000 slots=400 low=257 high=768 seed=1"),
        Row::new("1024-8192 x256", "steps=10000000 slots=256 low=1024 high=8192 seed=1"),
        Row::new("8192-32768 x256", "steps=5000000 slots=256 low=8192 high=32768 seed=1"),
    ],
    run::<Malloc>,
)
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let mut mixture = Mixture::<S>::new(parameters, parameters.get("seed"));
    meter.start();
    mixture.run(steps);
    meter.stop(steps);
    mixture.slots.release_all();
}

/// The same in each of `threads` threads at once, each with its own blocks; `steps` are those of all threads together.
pub fn run_in_threads<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let threads = parameters.get("threads");
    let steps = (parameters.get("steps") / threads).max(1);
    let mixtures: Vec<Mixture<S>> =
        (0..threads).map(|index| Mixture::new(parameters, parameters.get("seed") + index)).collect();
    run_together(meter, steps * threads, mixtures, |mut mixture| {
        mixture.run(steps);
        mixture.slots.release_all();
    });
}

/// Slots, and the sizes that their blocks may have.
struct Mixture<S: Source> {
    slots: Slots<S>,
    sizes: Sizes,
    random: Random,
}

impl<S: Source> Mixture<S> {
    fn new(parameters: &Parameters, seed: u64) -> Self {
        Self { slots: Slots::new(parameters.size("slots")), sizes: parameters.sizes(), random: Random::new(seed) }
    }

    fn run(&mut self, steps: u64) {
        let Self { slots, sizes, random } = self;
        for _ in 0..steps {
            let index = random.below(slots.len());
            let slot = &mut slots[index];
            match slot.take() {
                Some(block) => block.release(),
                None => *slot = Some(Block::allocate(sizes.draw(random))),
            }
        }
    }
}
