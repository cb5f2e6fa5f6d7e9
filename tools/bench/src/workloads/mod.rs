//! The workloads: each a file of its own, with its parameters and what it stands for.

mod aligned;
mod calloc;
mod false_sharing;
mod fragmentation;
mod integrity;
mod large;
mod larson;
mod latency;
mod lifetimes;
mod live_objects;
pub mod memory;
mod mid_large_mt;
mod mid_mt_gap;
mod oversubscription;
mod parameters;
mod phases;
mod pipeline;
mod producer_consumer;
mod random_mixed;
mod realloc_growth;
mod thread_churn;
mod tree_churn;

use crate::meter::Meter;
pub use parameters::{Parameters, Sizes};

/// What the file of a workload needs.
mod prelude {
    pub use super::{Parameters, Row, Sizes, Workload};
    pub use crate::{
        blocks::{Block, Slots},
        ceiling::Ceiling,
        meter::Meter,
        random::Random,
        source::{Malloc, Source},
        threads::run_together,
    };
}

/// One workload: a loop over `malloc` and `free` that stands for a kind of program.
pub struct Workload {
    /// Its name on the command line and in the results.
    pub name: &'static str,
    /// What it stands for, in one phrase.
    pub stands_for: &'static str,
    /// The parameter sets it is run with.
    pub rows: &'static [Row],
    /// The loop itself.
    pub run: Loop,
    /// Whether its course of resident memory over time is worth a plot.
    pub memory: bool,
    /// How many seconds the first round waits when all is freed, whatever comparison it is, for memory to go back.
    pub idle: u32,
    /// Whether system calls are counted, in a run of their own.
    pub counts_calls: bool,
    /// The parameter along which its rows make a curve, if they do.
    pub axis: Option<&'static str>,
    /// The same loop over the allocator that knows everything, where that can show what is possible.
    pub ceiling: Option<Loop>,
}

impl Workload {
    /// A workload of which nothing but time, and memory at its end, is of interest.
    const fn new(name: &'static str, stands_for: &'static str, rows: &'static [Row], run: Loop) -> Self {
        Self { name, stands_for, rows, run, memory: false, idle: 0, counts_calls: false, axis: None, ceiling: None }
    }

    /// The same, with a plot of memory over time.
    const fn over_time(self) -> Self {
        Self { memory: true, ..self }
    }

    /// The same, with so many idle seconds at its end in every comparison.
    const fn then_idle(self, idle: u32) -> Self {
        Self { idle, ..self }
    }

    /// The same, with its system calls counted.
    const fn counting_calls(self) -> Self {
        Self { counts_calls: true, ..self }
    }

    /// The same, with a curve along a parameter.
    const fn along(self, axis: &'static str) -> Self {
        Self { axis: Some(axis), ..self }
    }

    /// The same, with what is possible beside it.
    const fn with_ceiling(self, ceiling: Loop) -> Self {
        Self { ceiling: Some(ceiling), ..self }
    }
}

/// The loop of a workload.
pub type Loop = fn(&Parameters, &mut Meter);

/// One row of the results: a workload with its parameters.
pub struct Row {
    /// Its name, short enough for a table.
    pub name: &'static str,
    /// All parameters of the workload, as `name=number` separated by blanks.
    pub parameters: &'static str,
    /// Whether it is one of the few rows of a quick comparison.
    pub quick: bool,
}

impl Row {
    /// A row that a quick comparison leaves out.
    const fn new(name: &'static str, parameters: &'static str) -> Self {
        Self { name, parameters, quick: false }
    }

    /// A row that a quick comparison has, too.
    const fn quick(name: &'static str, parameters: &'static str) -> Self {
        Self { name, parameters, quick: true }
    }
}

/// The workloads of an ordinary comparison, in the order in which they are run; [`memory`] has the others.
pub const WORKLOADS: &[&Workload] = &[
    &random_mixed::WORKLOAD,
    &mid_mt_gap::WORKLOAD,
    &mid_large_mt::WORKLOAD,
    &large::WORKLOAD,
    &larson::WORKLOAD,
    &producer_consumer::WORKLOAD,
    &pipeline::WORKLOAD,
    &tree_churn::WORKLOAD,
    &live_objects::WORKLOAD,
    &phases::WORKLOAD,
    &realloc_growth::WORKLOAD,
    &calloc::WORKLOAD,
    &aligned::WORKLOAD,
    &thread_churn::WORKLOAD,
    &false_sharing::WORKLOAD,
    &fragmentation::WORKLOAD,
    &lifetimes::WORKLOAD,
    &oversubscription::WORKLOAD,
    &latency::WORKLOAD,
    &integrity::WORKLOAD,
];

/// All workloads.
pub fn all() -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().chain(memory::WORKLOADS).copied()
}

/// The workload called `name`.
pub fn find(name: &str) -> Option<&'static Workload> {
    all().find(|workload| workload.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_workload_runs_with_its_own_parameters() {
        // These two have as many blocks as they have, however short the run.
        let large = ["live_objects", "memory_huge"];
        for workload in all().filter(|workload| !large.contains(&workload.name)) {
            for row in workload.rows {
                let parameters = Parameters::parse(row.parameters.split(' ')).unwrap().scaled(1e-9);
                for run in [Some(workload.run), workload.ceiling].into_iter().flatten() {
                    let mut meter = Meter::new(None);
                    run(&parameters, &mut meter);
                    let measurement = meter.finish();
                    assert!(measurement.operations > 0 && measurement.wall_ns > 0, "{} {}", workload.name, row.name);
                }
            }
        }
    }

    #[test]
    fn the_documentation_says_of_each_what_it_stands_for() {
        let text = include_str!("../../../../docs/benchmarks.md");
        for workload in all() {
            let line = format!("| {} | {} | ", workload.name, workload.stands_for);
            assert!(text.contains(&line), "docs/benchmarks.md lacks the line `{line}`");
        }
    }

    #[test]
    fn the_rows_of_a_curve_have_the_parameter_of_its_axis() {
        for workload in all() {
            for row in workload.rows {
                if let Some(axis) = workload.axis {
                    let parameters = Parameters::parse(row.parameters.split(' ')).unwrap();
                    assert!(parameters.get(axis) > 0);
                }
            }
        }
    }
}
