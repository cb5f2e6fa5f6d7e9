//! memory_thrash: the same memory is allocated, used and freed again and again, as fast as can be.
//!
//! Giving it back each time costs kernel calls and page faults for nothing.
//!
//! 64 MiB a hundred times take some milliseconds with an allocator that keeps them, and seconds with one that does not. So the
//! row cannot be so long that what is done once, at the start, weighs no more than in a process that lives for a minute: it is
//! left out, by phases before the measured ones. What is done each second is not seen here, but in tests/c/memory_no_thrash.c.
//!
//! Parameters: `steps` (blocks altogether), `blocks` (allocated in a phase, then all freed), `warm` (phases before those
//! that are measured), `low` and `high` (sizes in bytes), `seed`.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_thrash",
    "buffers for each request, and collections of garbage",
    &[
        Row::new("800 KB x1", "steps=10000 blocks=1 warm=0 low=800000 high=800000 seed=1"),
        Row::new("64 MiB x1", "steps=90 blocks=1 warm=10 low=67108864 high=67108864 seed=1"),
        Row::new("16-8192 x49000", "steps=1960000 blocks=49000 warm=0 low=16 high=8192 seed=1"),
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

    let warm = parameters.size("warm");
    for phase in 0..warm + phases {
        if phase == warm {
            meter.start();
        }
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
