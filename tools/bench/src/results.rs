//! The results of a comparison: every run of every candidate in every row, and what is worked out from them.

use crate::{
    candidates::Candidate,
    latency::Latency,
    machine::Machine,
    meter::{Drift, Measurement, ServerMemory},
    statistics::median,
    workloads::memory,
};
use serde::{Deserialize, Serialize};

/// Everything one comparison found; the JSON that it writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The version of this format.
    pub format: u32,
    /// The command that was given.
    pub command: Vec<String>,
    /// Where it ran.
    pub machine: Machine,
    /// Rounds that each row was to be run.
    pub rounds: usize,
    /// The time that rows are compared by.
    pub clock: Clock,
    /// Who took part.
    pub candidates: Vec<Candidate>,
    /// What was found.
    pub rows: Vec<Row>,
}

/// The version of [`Results`] that this program writes and reads.
pub const FORMAT: u32 = 1;

/// What a server may keep above what is live, and a tenth of that, three seconds after its load: 15 MiB.
pub const ALLOWED_KIB: f64 = 15.0 * 1024.0;

/// Which time rows are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Wall-clock time: what a user waits for.
    Wall,
    /// CPU time: what remains comparable while other programs are running.
    Cpu,
}

/// One row: a workload with its parameters, and how each candidate did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// The name of the parameter set.
    pub name: String,
    /// The parameters, as the workers were given them.
    pub parameters: String,
    /// One outcome for each candidate, in their order.
    pub outcomes: Vec<Outcome>,
}

/// How one candidate did in one row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The measurement of each round.
    pub runs: Vec<Measurement>,
    /// How many runs were disturbed by other load and had to be repeated.
    pub repeated: usize,
    /// How many of the runs that count were disturbed all the same.
    pub disturbed: usize,
    /// Resident memory over time in the first round, in milliseconds and KiB, where that is worth a plot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_over_time: Vec<(f64, u64)>,
    /// Why there are no more runs: a crash, a hang, the wrong library.
    pub failure: Option<String>,
}

impl Outcome {
    /// The time of every run in nanoseconds for each operation; nothing if the candidate failed.
    pub fn times(&self, clock: Clock) -> Option<Vec<f64>> {
        let time = |run: &Measurement| match clock {
            Clock::Wall => run.wall_ns,
            Clock::Cpu => run.cpu_ns,
        };
        self.all(|run| time(run) as f64 / run.operations as f64)
    }

    /// The median of a figure over all runs; nothing if the candidate failed.
    pub fn median(&self, figure: impl Fn(&Measurement) -> f64) -> Option<f64> {
        self.all(figure).map(|values| median(&values))
    }

    /// Resident memory after idle seconds, in the rounds that had some.
    pub fn idle_kib(&self) -> Option<f64> {
        self.some(|run| run.rss_idle_kib)
    }

    /// Resident memory after `malloc_trim`, in the rounds that called it.
    pub fn trimmed_kib(&self) -> Option<f64> {
        self.some(|run| run.rss_trimmed_kib)
    }

    /// A figure of a server whose load is gone, in the rounds that have it.
    pub fn of_server(&self, figure: impl Fn(&ServerMemory) -> u64) -> Option<f64> {
        self.some(|run| run.server.as_ref().map(&figure))
    }

    /// What a server has three seconds after its load, in KiB, above what it had before it and what is live; and how much
    /// that may be: [`ALLOWED_KIB`], and a tenth of both.
    pub fn above_live_kib(&self) -> Option<(f64, f64)> {
        let (after, live) = (self.of_server(|server| server.after_3s_kib)?, self.of_server(|server| server.live_kib)?);
        let start = self.median(|run| run.rss_start_kib as f64)?;
        Some((after - start - live, ALLOWED_KIB + (start + live) / 10.0))
    }

    /// System calls for each hundred operations, in the rounds that had them counted.
    pub fn calls_per_hundred(&self) -> Option<f64> {
        let operations = self.runs.first()?.operations;
        self.some(|run| run.system_calls).map(|calls| calls * 100.0 / operations as f64)
    }

    /// Resident over live memory at the hours of simulated time, in the first round.
    pub fn drift(&self) -> Vec<(f64, f64)> {
        let Some((start, looks)) = self.runs.first().and_then(|run| run.drift.split_first()) else { return Vec::new() };
        let over_live = |look: &Drift| look.rss_kib.saturating_sub(start.rss_kib) as f64 / look.live_kib.max(1) as f64;
        looks.iter().map(|look| (look.hour, over_live(look))).collect()
    }

    /// How long single calls took: the median of each figure over all runs, and the distribution of the first.
    pub fn latency(&self) -> Option<Latency> {
        let latencies: Vec<&Latency> = self.runs.iter().filter_map(|run| run.latency.as_ref()).collect();
        let middle =
            |figure: fn(&Latency) -> f64| median(&latencies.iter().map(|latency| figure(latency)).collect::<Vec<_>>());
        Some(Latency {
            curve: latencies.first()?.curve.clone(),
            p50: middle(|latency| latency.p50),
            p99: middle(|latency| latency.p99),
            p99_9: middle(|latency| latency.p99_9),
            p99_99: middle(|latency| latency.p99_99),
            max: middle(|latency| latency.max),
        })
    }

    /// The median of a figure over the runs that have it.
    fn some(&self, figure: impl Fn(&Measurement) -> Option<u64>) -> Option<f64> {
        let values: Vec<f64> = self.runs.iter().filter_map(figure).map(|value| value as f64).collect();
        (!values.is_empty()).then(|| median(&values))
    }

    fn all(&self, figure: impl Fn(&Measurement) -> f64) -> Option<Vec<f64>> {
        (self.failure.is_none() && !self.runs.is_empty()).then(|| self.runs.iter().map(figure).collect())
    }
}

impl Row {
    /// The workload and the row together: what `--only` selects by.
    pub fn title(&self) -> String {
        format!("{} {}", self.workload, self.name)
    }
}

impl Results {
    /// Whether this is the comparison of memory, in which time comes last.
    pub fn is_about_memory(&self) -> bool {
        self.rows.iter().any(|row| row.workload.starts_with(memory::GROUP))
    }

    /// The index of the candidate with the lowest figure in a row; the ceiling does not compete.
    pub fn best(&self, row: &Row, figure: impl Fn(&Outcome) -> Option<f64>) -> Option<usize> {
        let competing = row.outcomes.iter().enumerate().filter(|(index, _)| !self.candidates[*index].is_ceiling());
        let figures = competing.filter_map(|(index, outcome)| Some((index, figure(outcome)?)));
        figures.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(index, _)| index)
    }

    /// The time of the ceiling in a row.
    pub fn ceiling(&self, row: &Row) -> Option<f64> {
        let index = self.candidates.iter().position(Candidate::is_ceiling)?;
        row.outcomes[index].times(self.clock).map(|times| median(&times))
    }
}
