//! oversubscription: random_mixed in more threads than there are CPUs: a thread that holds a lock is often not running.
//!
//! Parameters: `steps` (of all threads together), `threads`, `slots` (of each thread), `low` and `high` (sizes in
//! bytes), `seed`.

use super::prelude::*;
use super::random_mixed::run_in_threads;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "oversubscription",
    "services with a thread for each connection",
    &[
        Row::new("1 thread", "steps=10000000 threads=1 slots=1000 low=16 high=1024 seed=1"),
        Row::new("2 threads", "steps=10000000 threads=2 slots=1000 low=16 high=1024 seed=1"),
        Row::quick("8 threads", "steps=10000000 threads=8 slots=1000 low=16 high=1024 seed=1"),
        Row::new("64 threads", "steps=10000000 threads=64 slots=1000 low=16 high=1024 seed=1"),
    ],
    run_in_threads::<Malloc>,
)
.along("threads")
.with_ceiling(run_in_threads::<Ceiling>);
