//! Runs the comparison: rows one after another, rounds within each, and within each round every candidate in a fresh
//! process, so that whatever changes on the machine changes for all of them.

use crate::{
    candidates::Candidate,
    meter::Measurement,
    process::{self, Watch},
    programs::find_program,
    random::Random,
    results::{Clock, Outcome, Row},
    servers::{self, Place, Server},
    worker,
    workloads::{self, Parameters, Workload, memory},
};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::{env, path::PathBuf, process::Command, time::Duration};

/// The share of a run's time that its threads may spend waiting for a CPU before the run counts as disturbed.
const QUIET: f64 = 0.03;

/// How a comparison is run.
pub struct Plan {
    /// How often each candidate runs each row.
    pub rounds: usize,
    /// The time rows are compared by; a disturbed run is repeated only where it is wall-clock time.
    pub clock: Clock,
    /// When a worker counts as hanging.
    pub timeout: Duration,
    /// How often a disturbed run is repeated.
    pub repeats: usize,
    /// Whether the first round of every row waits for an idle second; without, only those of workloads that ask for it.
    pub idle: bool,
}

impl Plan {
    /// How long the first round of a workload waits when all is freed; those about memory know it themselves.
    fn idle_seconds(&self, workload: &Workload) -> u32 {
        if workload.name.starts_with(memory::GROUP) { workload.idle } else { workload.idle.max(u32::from(self.idle)) }
    }
}

/// One row to be run.
pub struct Task {
    /// The workload's name.
    pub workload: String,
    /// The row's name.
    pub row: String,
    /// What is run.
    pub work: Work,
}

/// What a row runs.
pub enum Work {
    /// A workload, in the worker.
    Loop(&'static Workload, Parameters),
    /// A program of its own.
    Program {
        /// Its name or path.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Whether it hands the library on by itself.
        preloads_itself: bool,
        /// Where it runs; in the current folder if there is none.
        folder: Option<PathBuf>,
    },
    /// A server, with its clients.
    Server(&'static Server, Place),
}

/// Runs all tasks and returns their rows.
pub fn run(plan: &Plan, tasks: &[Task], candidates: &mut [Candidate]) -> Result<Vec<Row>> {
    let bar = progress_bar(tasks.len() * plan.rounds * candidates.len());
    let unusable = identify(plan, candidates)?;
    let mut rows = Vec::new();
    for task in tasks {
        let start = |failure: &Option<String>| Outcome { failure: failure.clone(), ..Outcome::default() };
        let mut outcomes: Vec<Outcome> = unusable.iter().map(start).collect();
        for round in 0..plan.rounds {
            for at in shuffled(candidates.len(), round) {
                let (candidate, outcome) = (&candidates[at], &mut outcomes[at]);
                bar.set_message(format!("{} {}: {}", task.workload, task.row, candidate.name));
                if outcome.failure.is_none() && task.work.is_for(candidate) {
                    measure(plan, task, candidate, round == 0, outcome)?;
                }
                bar.inc(1);
            }
        }
        rows.push(Row {
            workload: task.workload.clone(),
            name: task.row.clone(),
            parameters: task.work.words().join(" "),
            outcomes,
        });
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// The order of a round: another one for each, the same in each comparison. What a candidate finds, such as huge pages that the system
/// has at hand, depends on who came before it.
fn shuffled(count: usize, round: usize) -> Vec<usize> {
    Random::new(round as u64).order(count)
}

/// Has every candidate say which version it is, and returns why those that cannot run at all cannot.
fn identify(plan: &Plan, candidates: &mut [Candidate]) -> Result<Vec<Option<String>>> {
    let workload = workloads::WORKLOADS[0];
    let parameters = Parameters::parse(workload.rows[0].parameters.split(' ')).map_err(anyhow::Error::msg)?;
    let work = Work::Loop(workload, parameters.scaled(1e-6));
    let task = Task { workload: workload.name.to_owned(), row: workload.rows[0].name.to_owned(), work };
    let mut failures = Vec::new();
    for candidate in candidates {
        failures.push(match run_once(plan, &task, candidate, Purpose::Again)? {
            Ok((measurement, _)) => {
                if !candidate.is_ceiling() && !candidate.is_shipped() {
                    candidate.version = measurement.version;
                }
                None
            }
            Err(reason) => Some(reason),
        });
    }
    Ok(failures)
}

impl Work {
    /// Whether a candidate can run it at all: the ceiling runs only loops that it has, and what a program was shipped
    /// with is of interest only where that is an allocator of its own.
    pub fn is_for(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Loop(workload, _) if candidate.is_ceiling() => workload.ceiling.is_some(),
            Self::Server(server, _) if candidate.is_shipped() => server.brings_allocator,
            _ => !candidate.is_ceiling() && !candidate.is_shipped(),
        }
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Loop(_, parameters) => parameters.words().collect(),
            Self::Program { program, arguments, .. } => [std::slice::from_ref(program), arguments].concat(),
            Self::Server(_, place) => vec![format!("scale={}", place.scale)],
        }
    }

    fn is_memory_workload(&self) -> bool {
        matches!(self, Self::Loop(workload, _) if workload.memory)
    }
}

fn progress_bar(runs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left  {msg}");
    ProgressBar::new(runs as u64).with_style(style.expect("the template is well formed"))
}

/// Adds one run to `outcome`, repeated while other load disturbs it, or the reason why there is none.
fn measure(plan: &Plan, task: &Task, candidate: &Candidate, first: bool, outcome: &mut Outcome) -> Result<()> {
    let mut attempts = Vec::new();
    loop {
        let (measurement, memory) =
            match run_once(plan, task, candidate, if first { Purpose::First } else { Purpose::Again })? {
                Ok(run) => run,
                Err(reason) => {
                    outcome.failure = Some(reason);
                    return Ok(());
                }
            };
        if first {
            outcome.memory_over_time = memory;
        }
        attempts.push(measurement);
        let disturbed = disturbance(&attempts[attempts.len() - 1]) > QUIET;
        if !disturbed || plan.clock == Clock::Cpu || attempts.len() > plan.repeats {
            break;
        }
    }
    outcome.repeated += attempts.len() - 1;
    let quietest = attempts.into_iter().min_by(|one, other| disturbance(one).total_cmp(&disturbance(other)));
    let mut run = quietest.expect("at least one attempt was made");
    if first && matches!(task.work, Work::Loop(workload, _) if workload.counts_calls) {
        // Where nobody may watch a process, the figure is missing and the rest is not.
        run.system_calls =
            run_once(plan, task, candidate, Purpose::CountCalls)?.ok().and_then(|run| run.0.system_calls);
    }
    outcome.disturbed += usize::from(disturbance(&run) > QUIET);
    outcome.runs.push(run);
    Ok(())
}

/// The share of a run's time in which it waited for a CPU.
fn disturbance(run: &Measurement) -> f64 {
    run.waited_ns as f64 / run.wall_ns.max(1) as f64
}

/// What a run is for.
#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    /// To be measured, memory over time and after idle seconds, too.
    First,
    /// To be measured.
    Again,
    /// To have its system calls counted, and nothing measured.
    CountCalls,
}

/// What a run gave: its measurement and its memory over time, or how it failed.
type Run = std::result::Result<(Measurement, Vec<(f64, u64)>), String>;

/// Runs a task once in a process of its own.
fn run_once(plan: &Plan, task: &Task, candidate: &Candidate, purpose: Purpose) -> Result<Run> {
    let first = purpose == Purpose::First;
    let (mut command, preload) = match &task.work {
        Work::Loop(workload, parameters) => {
            let mut command = Command::new(env::current_exe().context("the path of this command cannot be read")?);
            command.arg(worker::NAME).arg(workload.name).args(parameters.words());
            match purpose {
                Purpose::First => command.arg(format!("--settle={}", plan.idle_seconds(workload))),
                Purpose::CountCalls => command.arg("--count-calls"),
                Purpose::Again => &mut command,
            };
            if candidate.is_ceiling() {
                command.arg("--ceiling");
            }
            (command, "LD_PRELOAD")
        }
        Work::Program { program, arguments, preloads_itself, folder } => {
            let file = find_program(program).with_context(|| format!("there is no program `{program}`"))?;
            let mut command = Command::new(file);
            command.args(arguments);
            if let Some(folder) = folder {
                command.current_dir(folder);
            }
            (command, if *preloads_itself { "BENCH_PRELOAD" } else { "LD_PRELOAD" })
        }
        Work::Server(server, place) => {
            let visited = servers::visit(server, place, candidate, plan.timeout)?;
            return Ok(visited.map(|measurement| (measurement, Vec::new())));
        }
    };
    command.env_remove("LD_PRELOAD").envs(candidate.environment.iter().cloned());
    // The program that does so, redis, is linked to an allocator of its own.
    let preloads_itself = matches!(task.work, Work::Program { preloads_itself: true, .. });
    if let Some(library) = candidate.preload(preloads_itself)? {
        command.env(preload, library);
    }
    let watched = matches!(task.work, Work::Program { preloads_itself: false, .. });
    let watch = Watch {
        timeout: plan.timeout,
        memory: first && task.work.is_memory_workload(),
        library: candidate.library.as_deref().filter(|_| watched && first),
    };
    let Some(ended) = process::run(&mut command, &watch)? else {
        return Ok(Err(format!("gave no result within {:?}", plan.timeout)));
    };
    if !ended.status.success() {
        return Ok(Err(process::describe(ended.status, &ended.errors)));
    }
    if matches!(task.work, Work::Program { .. }) {
        if watch.library.is_some() && ended.has_library == Some(false) {
            return Ok(Err(
                "the program runs without the library: it is linked statically, or sets it aside".to_owned()
            ));
        }
        return Ok(Ok((Measurement::of_process(ended.wall, &ended.usage), ended.memory)));
    }
    let measurement: Measurement = match serde_json::from_str(&ended.output) {
        Ok(measurement) => measurement,
        Err(error) => return Ok(Err(format!("printed no measurement ({error}): {}", ended.output))),
    };
    if !candidate.provides(&measurement.malloc_library) {
        return Ok(Err(format!("malloc came from {}", measurement.malloc_library)));
    }
    Ok(Ok((measurement, ended.memory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_everybody_once_and_an_order_of_its_own() {
        let orders: Vec<Vec<usize>> = (0..9).map(|round| shuffled(7, round)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert!(orders.iter().enumerate().all(|(at, order)| !orders[..at].contains(order)), "{orders:?}");
        let before_the_last = |order: &Vec<usize>| order.iter().rev().skip_while(|at| **at != 6).nth(1).copied();
        let first = before_the_last(&orders[0]);
        assert!(orders.iter().any(|order| before_the_last(order) != first), "{orders:?}");
    }
}
