//! realloc_growth: arrays that grow by reallocation, in turn, until each has its final size.
//!
//! Each growth is by half or to the double; all of the new part is written. Whether a large array moves by copying or
//! by changing page tables decides the last rows.
//!
//! Parameters: `steps` (arrays altogether), `arrays` (growing at a time), `final` (size in bytes), `percent` (of the
//! old size that each growth adds).

use super::prelude::*;

/// The workload and its rows. No ceiling: that one always copies, and is beaten by whoever changes page tables.
pub const WORKLOAD: Workload = Workload::new(
    "realloc_growth",
    "vectors, strings and tables that grow",
    &[
        Row::quick("to 4 KiB x64", "steps=100000 arrays=64 final=4096 percent=100"),
        Row::new("to 1 MiB x16", "steps=600 arrays=16 final=1048576 percent=50"),
        Row::new("to 256 MiB x1", "steps=3 arrays=1 final=268435456 percent=50"),
    ],
    run,
);

/// The size an array begins with.
const FIRST: usize = 16;

fn run(parameters: &Parameters, meter: &mut Meter) {
    let at_a_time = parameters.size("arrays");
    let turns = (parameters.get("steps") / at_a_time as u64).max(1);
    let (last, percent) = (parameters.size("final"), parameters.size("percent"));
    let mut arrays = Slots::<Malloc>::new(at_a_time);
    let mut operations = 0;

    meter.start();
    for _ in 0..turns {
        arrays.iter_mut().for_each(|array| *array = Some(Block::allocate(FIRST)));
        let mut size = FIRST;
        while size < last {
            let grown = size + size * percent / 100;
            for slot in arrays.iter_mut() {
                let Some(array) = slot.take() else { continue };
                let mut array = array.reallocate(grown);
                array.fill_part(size, grown);
                *slot = Some(array);
            }
            operations += at_a_time as u64;
            size = grown;
        }
        operations += 2 * at_a_time as u64;
        arrays.release_all();
    }
    meter.stop(operations);
}
