//! memory_idle: threads fill a large heap, all of it is freed, and then the process calls the allocator no more.
//!
//! What comes back comes back without a call: the threads stay, asleep, until memory has been read.
//!
//! Parameters: `steps` (blocks altogether), `threads`, `freed_by` (0: each thread frees its own blocks; 1: those of
//! its neighbour; 2: the main thread frees all while the others sleep), `low` and `high` (sizes in bytes), `seed`.

use super::super::prelude::*;
use std::{
    sync::{Barrier, Mutex},
    thread,
};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_idle",
    "a server after its rush hour",
    &[
        Row::new("freed by owners", "steps=1600000 threads=8 freed_by=0 low=16 high=772 seed=1"),
        Row::new("freed by others", "steps=1600000 threads=8 freed_by=1 low=16 high=772 seed=1"),
        Row::new("freed by main", "steps=1600000 threads=8 freed_by=2 low=16 high=772 seed=1"),
    ],
    run,
)
.over_time()
.then_idle(3);

/// Fills, frees, and has memory read while all threads are there.
pub fn run(parameters: &Parameters, meter: &mut Meter) {
    let threads = parameters.size("threads");
    let blocks = parameters.size("steps").div_ceil(threads);
    let (freed_by, seed, sizes) = (parameters.get("freed_by"), parameters.get("seed"), parameters.sizes());
    let tables: Vec<_> = (0..threads).map(|_| Mutex::new(Some(Slots::<Malloc>::new(blocks)))).collect();
    let everybody = Barrier::new(threads + 1);

    thread::scope(|scope| {
        for index in 0..threads {
            let (tables, everybody) = (&tables, &everybody);
            scope.spawn(move || {
                everybody.wait();
                fill(&tables[index], sizes, seed + index as u64);
                everybody.wait();
                match freed_by {
                    0 => empty(&tables[index]),
                    1 => empty(&tables[(index + 1) % threads]),
                    _ => {}
                }
                everybody.wait();
                // Memory is read while this thread sleeps here.
                everybody.wait();
            });
        }
        meter.start();
        everybody.wait();
        everybody.wait();
        if freed_by == 2 {
            tables.iter().for_each(empty);
        }
        everybody.wait();
        meter.stop((threads * blocks) as u64);
        meter.settle();
        everybody.wait();
    });
}

/// A thread's blocks; whoever frees them takes the table away with them.
type Table = Mutex<Option<Slots<Malloc>>>;

fn fill(table: &Table, sizes: Sizes, seed: u64) {
    let mut random = Random::new(seed);
    let mut table = table.lock().expect("no thread panics with a table");
    for slot in table.iter_mut().flat_map(|slots| slots.iter_mut()) {
        *slot = Some(Block::allocate(sizes.draw(&mut random)));
    }
}

fn empty(table: &Table) {
    if let Some(mut slots) = table.lock().expect("no thread panics with a table").take() {
        slots.release_all();
    }
}
