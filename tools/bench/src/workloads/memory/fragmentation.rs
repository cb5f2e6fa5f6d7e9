//! memory_fragmentation: a day in which sizes and lifetimes drift while the amount of live memory stays the same.
//!
//! Each operation frees a block and allocates until as much is live as before. Which sizes are asked for changes from
//! hour to hour, from tens of bytes to kilobytes and back; so does the share of blocks that die young. One in two
//! hundred stays until the day is over. Resident memory over live memory, twice in each hour, is the result.
//!
//! Before each look the process pauses, so that an allocator that acts by the clock has its time, too: half an hour is a long
//! time for all of them but goes by in less than a second here.
//!
//! Parameters: `steps` (operations in each simulated hour), `live` (MiB), `pause` (ms), `seed`. Sizes and lifetimes are the day's own.
//!
//! # Safety
//! The size of a block is written at its start and read from there.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_fragmentation",
    "a service that runs for days",
    &[Row::new("24 hours", "steps=200000 live=64 pause=300 seed=1")],
    run,
)
.over_time()
.then_idle(1);

const HOURS: usize = 24;

/// How often memory is looked at in each hour.
const LOOKS: usize = 2;

/// The smallest size that any hour asks for, in bytes.
const SMALLEST: usize = 24;

/// One block in so many stays until the end.
const STAYS: usize = 200;

/// A block that dies young is one of so many latest.
const YOUNG: usize = 64;

fn run(parameters: &Parameters, meter: &mut Meter) {
    let (steps, wanted) = (parameters.size("steps"), parameters.size("live") << 20);
    let mut heap = Heap::new(wanted);
    let mut random = Random::new(parameters.get("seed"));
    let mut operations = 0;

    meter.record_memory(0.0, 0);
    meter.start();
    for look in 0..HOURS * LOOKS {
        let hour = look as f64 / LOOKS as f64;
        let (sizes, dying_young) = (sizes_at(hour), percent_dying_young_at(hour));
        for _ in 0..steps.div_ceil(LOOKS) {
            heap.release_one(random.below(100) < dying_young, &mut random);
            while heap.bytes < wanted && heap.allocate(sizes.draw_scaled(&mut random), &mut random) {
                operations += 1;
            }
        }
        meter.pause(parameters.get("pause"));
        meter.record_memory(hour + 1.0 / LOOKS as f64, heap.bytes);
    }
    meter.stop(operations);

    heap.slots.release_all();
}

/// From tens of bytes at midnight to kilobytes at noon.
fn sizes_at(hour: f64) -> Sizes {
    let low = (SMALLEST as f64 * (6.0 * from_noon(hour)).exp2()) as usize;
    Sizes { low, high: low * 4 }
}

/// At the sixth and the eighteenth hour most blocks die young, at noon and midnight few do.
fn percent_dying_young_at(hour: f64) -> usize {
    (20.0 + 70.0 * from_noon(hour * 2.0 % 24.0)) as usize
}

/// From 0 at midnight to 1 at noon and back.
fn from_noon(hour: f64) -> f64 {
    1.0 - (hour - 12.0).abs() / 12.0
}

/// What is live: blocks that come and go at the front of the table, and those that stay from its end on.
struct Heap {
    slots: Slots<Malloc>,
    passing: usize,
    staying: usize,
    bytes: usize,
}

impl Heap {
    /// An empty heap with room for `bytes`; in no hour is the mean size below twice the smallest.
    fn new(bytes: usize) -> Self {
        Self { slots: Slots::new(bytes / SMALLEST / 2), passing: 0, staying: 0, bytes: 0 }
    }

    /// Adds a block, if there is room for it in the table.
    fn allocate(&mut self, size: usize, random: &mut Random) -> bool {
        let last = self.slots.len() - self.staying;
        if self.passing == last {
            return false;
        }
        let block = Block::<Malloc>::allocate(size);
        // SAFETY: the block has at least 24 bytes, and any allocator aligns those to 8.
        unsafe { block.address().cast::<usize>().write(size) };
        if random.below(STAYS) == 0 {
            self.slots[last - 1] = Some(block);
            self.staying += 1;
        } else {
            self.slots[self.passing] = Some(block);
            self.passing += 1;
        }
        self.bytes += size;
        true
    }

    /// Frees one of the latest blocks, or any.
    fn release_one(&mut self, young: bool, random: &mut Random) {
        if self.passing == 0 {
            return;
        }
        let index =
            if young { self.passing - 1 - random.below(self.passing.min(YOUNG)) } else { random.below(self.passing) };
        self.passing -= 1;
        self.slots.swap(index, self.passing);
        if let Some(block) = self.slots[self.passing].take() {
            // SAFETY: `allocate` wrote the size there.
            self.bytes -= unsafe { block.address().cast::<usize>().read() };
            block.release();
        }
    }
}
