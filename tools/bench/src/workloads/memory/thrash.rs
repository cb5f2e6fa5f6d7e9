//! memory_thrash: the same memory is allocated, used and freed again and again, as fast as can be.
//!
//! Giving it back each time costs kernel calls and page faults for nothing.
//!
//! Parameters: `steps` (blocks altogether), `blocks` (allocated in a phase, then all freed), `low` and `high` (sizes
//! in bytes), `seed`.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_thrash",
    "buffers for each request, and collections of garbage",
    &[
        Row::new("800 KB x1", "steps=10000 blocks=1 low=800000 high=800000 seed=1"),
        Row::new("64 MiB x1", "steps=100 blocks=1 low=67108864 high=67108864 seed=1"),
        Row::new("16-8192 x49000", "steps=1960000 blocks=49000 low=16 high=8192 seed=1"),
    ],
    run,
)
.over_time()
.counting_calls();

fn run(parameters: &Parameters, meter: &mut Meter) {
    let phases = (parameters.size("steps") / parameters.size("blocks")).max(1);
    let sizes = parameters.sizes();
    let mut slots = Slots::<Malloc>::new(parameters.size("blocks"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..phases {
        for slot in slots.iter_mut() {
            let size = sizes.draw_scaled(&mut random);
            let mut block = Block::allocate(size);
            block.touch_pages(size);
            *slot = Some(block);
        }
        slots.release_all();
    }
    meter.stop((phases * slots.len()) as u64);
}
