//! Runs the comparison: rows one after another, rounds within each, and within each round every candidate in a fresh
//! process, so that whatever changes on the machine changes for all of them.

use crate::{
    candidates::{Candidate, executable_folder},
    meter::Measurement,
    results::{Clock, Outcome, Row},
    workloads::Parameters,
};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    env,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

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
}

/// One row to be run.
pub struct Task {
    /// The workload's name.
    pub workload: &'static str,
    /// The row's name.
    pub row: &'static str,
    /// Its parameters.
    pub parameters: Parameters,
}

/// Runs all tasks and returns their rows.
pub fn run(plan: &Plan, tasks: &[Task], candidates: &mut [Candidate]) -> Result<Vec<Row>> {
    let worker = worker_path()?;
    let bar = progress_bar(tasks.len() * plan.rounds * candidates.len());
    let mut rows = Vec::new();
    for task in tasks {
        let mut outcomes = vec![Outcome::default(); candidates.len()];
        for round in 0..plan.rounds {
            for (candidate, outcome) in candidates.iter_mut().zip(&mut outcomes) {
                bar.set_message(format!("{} {}: {}", task.workload, task.row, candidate.name));
                if outcome.failure.is_none() {
                    let idle = round == 0;
                    measure(plan, &worker, task, candidate, idle, outcome)?;
                }
                bar.inc(1);
            }
        }
        let parameters: Vec<String> = task.parameters.words().collect();
        rows.push(Row {
            workload: task.workload.to_owned(),
            name: task.row.to_owned(),
            parameters: parameters.join(" "),
            outcomes,
        });
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn progress_bar(runs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left  {msg}");
    ProgressBar::new(runs as u64).with_style(style.expect("the template is well formed"))
}

/// Adds one run to `outcome`, repeated while other load disturbs it, or the reason why there is none.
fn measure(
    plan: &Plan,
    worker: &PathBuf,
    task: &Task,
    candidate: &mut Candidate,
    idle: bool,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut attempts = Vec::new();
    loop {
        let measurement = match run_worker(plan, worker, task, candidate, idle)? {
            Ok(measurement) => measurement,
            Err(reason) => {
                outcome.failure = Some(reason);
                return Ok(());
            }
        };
        if !candidate.provides(&measurement.malloc_library) {
            outcome.failure = Some(format!("malloc came from {}", measurement.malloc_library));
            return Ok(());
        }
        attempts.push(measurement);
        let disturbed = disturbance(&attempts[attempts.len() - 1]) > QUIET;
        if !disturbed || plan.clock == Clock::Cpu || attempts.len() > plan.repeats {
            break;
        }
    }
    outcome.repeated += attempts.len() - 1;
    let quietest = attempts.into_iter().min_by(|one, other| disturbance(one).total_cmp(&disturbance(other)));
    let run = quietest.expect("at least one attempt was made");
    outcome.disturbed += usize::from(disturbance(&run) > QUIET);
    candidate.version.clone_from(&run.version);
    outcome.runs.push(run);
    Ok(())
}

/// The share of a run's time in which it waited for a CPU.
fn disturbance(run: &Measurement) -> f64 {
    run.waited_ns as f64 / run.wall_ns.max(1) as f64
}

/// Runs one worker to its end; the inner error says how it failed.
fn run_worker(
    plan: &Plan,
    worker: &PathBuf,
    task: &Task,
    candidate: &Candidate,
    idle: bool,
) -> Result<Result<Measurement, String>> {
    let mut command = Command::new(worker);
    command.arg(task.workload).args(task.parameters.words());
    if idle {
        command.arg("--idle");
    }
    command.env_remove("LD_PRELOAD").envs(candidate.environment.iter().cloned());
    if let Some(library) = &candidate.library {
        command.env("LD_PRELOAD", library);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", worker.display()))?;

    // Both pipes are read to their ends by threads; that the first of them ended is the news that the worker did.
    let (sender, receiver) = mpsc::channel();
    let mut output = child.stdout.take().expect("stdout is piped");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let result = output.read_to_string(&mut text);
        // The receiver is gone only when the worker was given up.
        let _ = sender.send(());
        result.map(|_| text)
    });
    let mut errors = child.stderr.take().expect("stderr is piped");
    let error_reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read until an error is all there is to show.
        let _ = errors.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });

    let hung = receiver.recv_timeout(plan.timeout).is_err();
    if hung {
        child.kill().context("a hanging worker cannot be ended")?;
    }
    let status = child.wait().context("a worker cannot be waited for")?;
    let text = reader.join().expect("the reader does not panic");
    let said = error_reader.join().expect("the reader does not panic");
    if hung {
        return Ok(Err(format!("gave no result within {:?}", plan.timeout)));
    }
    if !status.success() {
        return Ok(Err(describe(status, &said)));
    }
    let text = text.context("a worker's output cannot be read")?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("printed no measurement ({error}): {text}")))
}

/// How a worker ended, with the last line it wrote to stderr.
fn describe(status: ExitStatus, said: &str) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, code) => format!("ended with status {}", code.unwrap_or(-1)),
    };
    match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

/// The worker's program, built beside this command; a variable names it where a test has it elsewhere.
fn worker_path() -> Result<PathBuf> {
    if let Some(path) = env::var_os("HAKMEM_BENCH_WORKER") {
        return Ok(path.into());
    }
    let path = executable_folder()?.join("hakmem-bench-worker");
    if !path.exists() {
        let found = path.display();
        anyhow::bail!("{found} does not exist: build it with `cargo build --release -p hakmem-bench`");
    }
    Ok(path)
}
