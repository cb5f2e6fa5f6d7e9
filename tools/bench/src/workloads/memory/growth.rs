//! memory_growth: a heap that grows steadily and frees nothing until the end.
//!
//! Every page is new; what it costs is page faults and time in the kernel.
//!
//! Parameters: `steps` (blocks), `table` (1: a table with a place for each of them doubles as they grow in number),
//! `low` and `high` (sizes in bytes), `seed`.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_growth",
    "compilers, and programs that load what they work on",
    &[
        Row::new("16-4096 to 512 MiB", "steps=700000 table=0 low=16 high=4096 seed=1"),
        Row::new("dictionary", "steps=4000000 table=1 low=32 high=96 seed=1"),
    ],
    run,
)
.over_time()
.counting_calls();

/// The first table, in bytes.
const FIRST_TABLE: usize = 1024;

fn run(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.size("steps");
    let sizes = parameters.sizes();
    let mut slots = Slots::<Malloc>::new(steps);
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    let mut table = (parameters.get("table") == 1).then(|| (Block::allocate_zeroed(FIRST_TABLE), FIRST_TABLE));
    for (index, slot) in slots.iter_mut().enumerate() {
        *slot = Some(Block::allocate(sizes.draw_scaled(&mut random)));
        if let Some((old, bytes)) = table.take_if(|(_, bytes)| index * size_of::<usize>() >= *bytes) {
            let mut doubled: Block<Malloc> = Block::allocate_zeroed(bytes * 2);
            doubled.touch_pages(bytes * 2);
            old.release();
            table = Some((doubled, bytes * 2));
        }
    }
    meter.stop(steps as u64);

    slots.release_all();
    if let Some((table, _)) = table {
        table.release();
    }
}
