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
pub use parameters::Parameters;

/// One workload: a loop over `malloc` and `free` that stands for a kind of program.
pub struct Workload {
    /// Its name on the command line and in the results.
    pub name: &'static str,
    /// What it stands for, in one phrase.
    pub stands_for: &'static str,
    /// The parameter sets it is run with.
    pub rows: &'static [Row],
    /// Whether its course of resident memory over time is worth a plot.
    pub memory: bool,
    /// The parameter along which its rows make a curve, if they do.
    pub axis: Option<&'static str>,
    /// The loop itself.
    pub run: Loop,
    /// The same loop over the allocator that knows everything, where that can show what is possible.
    pub ceiling: Option<Loop>,
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

/// All workloads, in the order in which they are run.
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

/// The workload called `name`.
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().copied().find(|workload| workload.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_workload_runs_with_its_own_parameters() {
        for workload in WORKLOADS.iter().filter(|workload| workload.name != "live_objects") {
            for row in workload.rows {
                let parameters = Parameters::parse(row.parameters.split(' ')).unwrap().scaled(1e-9);
                for run in [Some(workload.run), workload.ceiling].into_iter().flatten() {
                    let mut meter = Meter::new();
                    run(&parameters, &mut meter);
                    let measurement = meter.finish(false);
                    assert!(measurement.operations > 0 && measurement.wall_ns > 0, "{} {}", workload.name, row.name);
                }
            }
        }
    }

    #[test]
    fn the_rows_of_a_curve_have_the_parameter_of_its_axis() {
        for workload in WORKLOADS {
            for row in workload.rows {
                if let Some(axis) = workload.axis {
                    let parameters = Parameters::parse(row.parameters.split(' ')).unwrap();
                    assert!(parameters.get(axis) > 0);
                }
            }
        }
    }
}
