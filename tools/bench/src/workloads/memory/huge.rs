//! memory_huge: a large heap of small and medium blocks, read and written at random.
//!
//! With pages of 4 KiB nearly every access misses the CPU's cache of translations; huge pages make it cheaper, and may
//! cost memory.
//!
//! Parameters: `steps` (accesses), `blocks` (live), `low` and `high` (sizes in bytes), `seed`.
//!
//! # Safety
//! Accesses lie within a block, whose size is written at its start.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_huge",
    "databases and caches in memory",
    &[
        Row::new("1 GiB", "steps=10000000 blocks=240000 low=16 high=32768 seed=1"),
        Row::new("32 MiB", "steps=10000000 blocks=7500 low=16 high=32768 seed=1"),
    ],
    run,
)
.over_time();

fn run(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<Malloc>::new(parameters.size("blocks"));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for slot in slots.iter_mut() {
        let size = sizes.draw_scaled(&mut random);
        let mut block = Block::allocate(size);
        block.touch_pages(size);
        // SAFETY: the block has at least 16 bytes, and any allocator aligns those to 8.
        unsafe { block.address().cast::<usize>().write(size) };
        *slot = Some(block);
    }
    for _ in 0..steps {
        let Some(block) = &slots[random.below(slots.len())] else { continue };
        let start = block.address();
        // SAFETY: the size was written above; the offset lies behind it and within the block.
        unsafe {
            let size = start.cast::<usize>().read();
            let place = start.add(random.between(size_of::<usize>(), size - 1));
            place.write_volatile(place.read_volatile().wrapping_add(1));
        }
    }
    meter.stop(steps);

    slots.release_all();
}
