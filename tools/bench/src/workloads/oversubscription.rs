//! oversubscription: random_mixed in more threads than there are CPUs: a thread that holds a lock is often not running.
//!
//! Parameters: `steps` (of all threads together), `threads`, `slots` (of each thread), `low` and `high` (sizes in
//! bytes), `seed`.

use super::{Row, Workload, random_mixed::run_in_threads};
use crate::{ceiling::Ceiling, source::Malloc};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload {
    name: "oversubscription",
    stands_for: "services with a thread for each connection",
    rows: &[
        Row::new("1 thread", "steps=10000000 threads=1 slots=1000 low=16 high=1024 seed=1"),
        Row::new("2 threads", "steps=10000000 threads=2 slots=1000 low=16 high=1024 seed=1"),
        Row::quick("8 threads", "steps=10000000 threads=8 slots=1000 low=16 high=1024 seed=1"),
        Row::new("64 threads", "steps=10000000 threads=64 slots=1000 low=16 high=1024 seed=1"),
    ],
    memory: false,
    axis: Some("threads"),
    run: run_in_threads::<Malloc>,
    ceiling: Some(run_in_threads::<Ceiling>),
};
