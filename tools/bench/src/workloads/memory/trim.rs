//! memory_trim: the main thread frees what eight sleeping threads allocated, then calls `malloc_trim`.
//!
//! The same loop as memory_idle, but nothing is waited for before the call.
//!
//! Parameters: those of memory_idle.

use super::{super::prelude::*, idle::run};

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "memory_trim",
    "programs that know when they are done with their memory",
    &[Row::new("8 sleeping threads", "steps=800000 threads=8 freed_by=2 low=16 high=772 seed=1")],
    run,
)
.over_time();
