//! The workloads of `--only memory`: what a program pays in memory, and what of it comes back.
//!
//! One file for each question; peaks of whole programs are the tenth, and come from [`crate::programs`]. They are a
//! comparison of their own, because their times would say little in a mean with the others'.

mod fragmentation;
mod growth;
mod huge;
mod idle;
mod limits;
mod start;
mod thrash;
mod threads;
mod trim;

use super::Workload;

/// What their names begin with.
pub const GROUP: &str = "memory";

/// All of them, in the order in which they are run.
pub const WORKLOADS: &[&Workload] = &[
    &start::WORKLOAD,
    &idle::WORKLOAD,
    &thrash::WORKLOAD,
    &threads::WORKLOAD,
    &huge::WORKLOAD,
    &growth::WORKLOAD,
    &limits::WORKLOAD,
    &trim::WORKLOAD,
    &fragmentation::WORKLOAD,
];
