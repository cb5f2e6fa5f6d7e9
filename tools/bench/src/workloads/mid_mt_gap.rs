//! mid_mt_gap: blocks of 1 to 8 KiB in several threads, between what allocators call small and large.
//!
//! Parameters: `steps` (of all threads together), `threads`, `slots` (of each thread), `low` and `high` (sizes in
//! bytes), `seed`.

use super::prelude::*;
use super::random_mixed::run_in_threads;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "mid_mt_gap",
    "buffers of a few kilobytes in each thread of a server",
    &[
        Row::new("1 thread", "steps=4000000 threads=1 slots=256 low=1024 high=8192 seed=1"),
        Row::quick("2 threads", "steps=4000000 threads=2 slots=256 low=1024 high=8192 seed=1"),
        Row::new("4 threads", "steps=4000000 threads=4 slots=256 low=1024 high=8192 seed=1"),
    ],
    run_in_threads::<Malloc>,
)
.along("threads")
.with_ceiling(run_in_threads::<Ceiling>);
