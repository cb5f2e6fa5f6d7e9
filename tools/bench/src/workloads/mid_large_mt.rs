//! mid_large_mt: blocks of 8 KiB to 1 MiB in several threads, where allocators go from their own lists to the system.
//!
//! Parameters: `steps` (of all threads together), `threads`, `slots` (of each thread), `low` and `high` (sizes in
//! bytes), `seed`.

use super::prelude::*;
use super::random_mixed::run_in_threads;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "mid_large_mt",
    "images, messages and columns in each thread",
    &[
        Row::new("1 thread", "steps=400000 threads=1 slots=64 low=8192 high=1048576 seed=1"),
        Row::quick("2 threads", "steps=400000 threads=2 slots=64 low=8192 high=1048576 seed=1"),
    ],
    run_in_threads::<Malloc>,
)
.along("threads")
.with_ceiling(run_in_threads::<Ceiling>);
