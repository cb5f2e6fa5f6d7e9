//! Threads of a workload: started together, timed from that moment to the end of the last one.

use crate::meter::{self, Meter};
use std::{sync::Barrier, thread};

/// Runs `body` once for each of `states`, each in a thread of its own, and returns what they return. The timed part of
/// `operations` operations begins when all threads are there and ends when the last is gone.
pub fn run_together<T: Send, R: Send>(
    meter: &mut Meter,
    operations: u64,
    states: Vec<T>,
    body: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let barrier = Barrier::new(states.len() + 1);
    // With more threads than CPUs waiting is part of the workload, and says nothing about other load.
    let own_cpu_each = states.len() <= thread::available_parallelism().map_or(1, usize::from);
    let results = thread::scope(|scope| {
        let start_one = |state| {
            let (barrier, body) = (&barrier, &body);
            scope.spawn(move || {
                barrier.wait();
                let result = body(state);
                if own_cpu_each {
                    meter::add_waiting();
                }
                result
            })
        };
        let handles: Vec<_> = states.into_iter().map(start_one).collect();
        meter.start();
        barrier.wait();
        let join = |handle: thread::ScopedJoinHandle<R>| handle.join().expect("a workload's thread does not panic");
        handles.into_iter().map(join).collect()
    });
    meter.stop(operations);
    results
}
