//! memory_limits: a program that the system allows only so much memory.
//!
//! Where there is enough, no allocation may fail; where there is not, `malloc` returns null, the program frees half of
//! what it has, and goes on. An allocator that ends the process instead has failed.
//!
//! Parameters: `address_space` or `data` (the limit under which the process is started, in MiB), `steps` (attempts to
//! allocate), `volume` (MiB live at most; then all is freed), `refusals` (1 if there may be any), `low` and `high`
//! (sizes in bytes), `seed`.

use super::super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_limits",
    "containers and batch queues with a limit for each process",
    &[
        Row::new("256 of 512 MiB", "address_space=512 steps=120000 volume=256 refusals=0 low=16 high=65536 seed=1"),
        Row::new(
            "beyond address space",
            "address_space=256 steps=120000 volume=512 refusals=1 low=16 high=65536 seed=1",
        ),
        Row::new("beyond data", "data=256 steps=120000 volume=512 refusals=1 low=16 high=65536 seed=1"),
    ],
    run,
)
.over_time();

fn run(parameters: &Parameters, meter: &mut Meter) {
    let (steps, volume) = (parameters.size("steps"), parameters.size("volume") << 20);
    let (sizes, may_fail) = (parameters.sizes(), parameters.get("refusals") == 1);
    // What a volume of the smallest blocks would need is more than chance can ask for.
    let mut slots = Slots::<Malloc>::new(steps);
    let mut random = Random::new(parameters.get("seed"));
    let (mut live, mut bytes) = (0, 0);

    meter.start();
    for _ in 0..steps {
        let size = sizes.draw_scaled(&mut random);
        match Block::try_allocate(size) {
            Some(mut block) => {
                block.touch_pages(size);
                slots[live] = Some(block);
                live += 1;
                bytes += size;
            }
            None if may_fail && live > 0 => {
                release(&mut slots[live / 2..live]);
                live /= 2;
                bytes /= 2;
            }
            None => panic!("no memory for {size} bytes with {} MiB live", bytes >> 20),
        }
        if bytes >= volume {
            release(&mut slots[..live]);
            (live, bytes) = (0, 0);
        }
    }
    meter.stop(steps as u64);

    release(&mut slots[..live]);
}

fn release(slots: &mut [Option<Block<Malloc>>]) {
    slots.iter_mut().filter_map(Option::take).for_each(Block::release);
}
