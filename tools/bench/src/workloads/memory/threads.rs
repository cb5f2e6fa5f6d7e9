//! memory_threads: what a thread costs that sleeps, that has died and left blocks behind, that was one of very many.
//!
//! Each thread allocates some blocks and frees them, a number of times. What threads leave stays until memory has been
//! read.
//!
//! Parameters: `steps` (threads altogether), `together` (alive at a time), `blocks` and `turns` (of each thread),
//! `left` (blocks of 16 to 256 bytes that each leaves behind), `asleep` (1: they stay until memory has been read),
//! `low` and `high` (sizes in bytes), `seed`.

use super::super::prelude::*;
use std::{mem, sync::Barrier, thread};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_threads",
    "pools of threads, and a thread for each task",
    &[
        Row::new("1000 idle", "steps=1000 together=1000 blocks=200 turns=20 left=0 asleep=1 low=16 high=8000 seed=1"),
        Row::new("4800 dead", "steps=4800 together=100 blocks=200 turns=2 left=8 asleep=0 low=16 high=8000 seed=1"),
        Row::new("100000 in turn", "steps=100000 together=1 blocks=20 turns=1 left=0 asleep=0 low=16 high=8000 seed=1"),
    ],
    run,
)
.over_time()
.then_idle(3);

/// The sizes of what threads leave behind.
const LEFT: Sizes = Sizes { low: 16, high: 256 };

fn run(parameters: &Parameters, meter: &mut Meter) {
    let threads = parameters.size("steps");
    let together = parameters.size("together").min(threads);
    let (turns, left, sizes) = (parameters.get("turns"), parameters.size("left"), parameters.sizes());
    let (asleep, seed) = (parameters.get("asleep") == 1, parameters.get("seed"));
    let mut tables: Vec<_> = (0..together).map(|_| Slots::<Malloc>::new(parameters.size("blocks"))).collect();
    let mut all_left = Slots::<Malloc>::new((threads * left).max(1));
    let mut places = all_left.chunks_mut(left.max(1)).map(|places| &mut places[..left.min(1) * left]);
    let everybody = Barrier::new(together + 1);
    let operations = (threads * (parameters.size("blocks") * turns as usize + left)) as u64;

    meter.start();
    for wave in 0..threads.div_ceil(together) {
        thread::scope(|scope| {
            let line = tables.drain(..).enumerate().map(|(index, mut slots)| {
                let mut random = Random::new(seed + (wave * together + index) as u64);
                let (places, everybody) = (places.next().unwrap_or_default(), &everybody);
                scope.spawn(move || {
                    places.iter_mut().for_each(|place| *place = Some(Block::allocate(LEFT.draw(&mut random))));
                    for _ in 0..turns {
                        slots.iter_mut().for_each(|slot| *slot = Some(Block::allocate(sizes.draw(&mut random))));
                        slots.release_all();
                    }
                    // Where memory is read while this thread is there, the table must not be.
                    let slots = if asleep {
                        mem::drop(slots);
                        None
                    } else {
                        Some(slots)
                    };
                    everybody.wait();
                    if asleep {
                        everybody.wait();
                    }
                    slots
                })
            });
            let line: Vec<_> = line.collect();
            everybody.wait();
            if asleep {
                meter.stop(operations);
                meter.settle();
                everybody.wait();
            }
            let ended =
                line.into_iter().filter_map(|thread| thread.join().expect("a workload's thread does not panic"));
            tables = ended.collect();
        });
    }
    if !asleep {
        meter.stop(operations);
        mem::drop(tables);
        meter.settle();
    }
    all_left.release_all();
}
