//! false_sharing: threads write to small blocks that may lie in one cache line.
//!
//! Active: each thread allocates its block itself; an allocator that serves two threads from one cache line makes them
//! slow. Passive: the blocks come from one thread, and each thread frees the one it got before it allocates its own; an
//! allocator that gives it the same place again keeps the sharing that the program began with.
//!
//! Parameters: `steps` (blocks of all threads together), `threads`, `passive` (1 or 0), `writes` (to each block),
//! `size` (in bytes).
//!
//! # Safety
//! Each block is written by the thread that holds it.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "false_sharing",
    "counters and states of threads that know nothing of each other",
    &[
        Row::quick("active", "steps=200000 threads=2 passive=0 writes=500 size=8"),
        Row::new("passive", "steps=200000 threads=2 passive=1 writes=500 size=8"),
    ],
    run::<Malloc>,
)
.with_ceiling(run::<Ceiling>);

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let (threads, writes) = (parameters.get("threads"), parameters.get("writes"));
    let blocks = (parameters.get("steps") / threads).max(1);
    let size = parameters.size("size");
    let passive = parameters.get("passive") == 1;
    let given: Vec<_> = (0..threads).map(|_| passive.then(|| Block::<S>::allocate(size))).collect();
    run_together(meter, blocks * threads, given, |given| {
        if let Some(block) = given {
            block.release();
        }
        for _ in 0..blocks {
            let block = Block::<S>::allocate(size);
            for value in 0..writes {
                // SAFETY: the block has at least one byte.
                unsafe { block.address().write_volatile(value as u8) };
            }
            block.release();
        }
    });
}
