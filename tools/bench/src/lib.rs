//! Compares allocators fairly.
//!
//! [`run`] is the command: it picks candidates and rows, has [`runner`] measure them in worker processes, and shows
//! the results. [`worker`] is what those processes do; [`workloads`] holds the loops they run.

pub mod blocks;
pub mod candidates;
pub mod machine;
pub mod meter;
pub mod peers;
pub mod random;
pub mod results;
pub mod runner;
pub mod statistics;
pub mod table;
pub mod worker;
pub mod workloads;

use anyhow::{Context, Result, bail};
use results::{Clock, FORMAT, Results};
use runner::{Plan, Task};
use std::{env, fs, path::PathBuf, process::ExitCode, time::Duration};
use workloads::{Parameters, WORKLOADS};

/// What to compare, and how.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The allocators to compare, separated by commas; all that are there if left out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    libs: Vec<String>,

    /// One more allocator: a preload library of yours
    #[arg(long = "lib", value_name = "NAME=PATH")]
    own: Vec<String>,

    /// Only rows whose title (workload and parameters) starts so, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "TITLES")]
    only: Vec<String>,

    /// How often every allocator runs every row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,

    /// The time to compare by: `cpu` stays comparable while other programs run
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    by: Clock,

    /// Lengthen or shorten every run by this factor
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    scale: f64,

    /// Repeat a run that other load disturbed up to so many times
    #[arg(long, default_value_t = 2, value_name = "TIMES")]
    repeats: u16,

    /// Seconds after which a run counts as hanging
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,

    /// Every figure of every allocator, too
    #[arg(long)]
    details: bool,

    /// Write all results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// List the allocators and the rows, and end
    #[arg(long)]
    list: bool,

    /// Build the allocators to compare with from source, and end
    #[arg(long)]
    build_peers: bool,
}

/// Runs the benchmark.
pub fn run(args: Args) -> Result<ExitCode> {
    if args.build_peers {
        return peers::build_all();
    }
    if args.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    if !(args.scale > 0.0 && args.scale <= 1000.0) {
        bail!("`--scale {}` is no factor between 0 and 1000", args.scale);
    }
    let mut candidates = candidates::select(&args.libs, &args.own)?;
    let tasks = select_rows(&args)?;
    let plan = Plan {
        rounds: args.rounds.into(),
        clock: args.by,
        timeout: Duration::from_secs(args.timeout),
        repeats: args.repeats.into(),
    };
    let rows = runner::run(&plan, &tasks, &mut candidates)?;
    let results = Results {
        format: FORMAT,
        command: env::args().collect(),
        machine: machine::Machine::here(),
        rounds: plan.rounds,
        clock: plan.clock,
        candidates,
        rows,
    };
    table::print(&results, args.details);
    if let Some(path) = &args.json {
        let text = serde_json::to_string(&results).context("the results cannot be written as JSON")?;
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows that `--only` selects, as tasks.
fn select_rows(args: &Args) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for workload in WORKLOADS {
        for row in workload.rows {
            let title = format!("{} {}", workload.name, row.name);
            if !args.only.is_empty() && !args.only.iter().any(|start| title.starts_with(start.as_str())) {
                continue;
            }
            let parameters = Parameters::parse(row.parameters.split(' ')).map_err(anyhow::Error::msg)?;
            tasks.push(Task { workload: workload.name, row: row.name, parameters: parameters.scaled(args.scale) });
        }
    }
    if tasks.is_empty() {
        bail!("no row's title starts with `{}`; `--list` shows them all", args.only.join("` or `"));
    }
    Ok(tasks)
}

fn list() {
    println!("Allocators:");
    for name in candidates::known_names() {
        match candidates::select(&[name.to_owned()], &[]) {
            Ok(_) => println!("  {name}"),
            Err(error) => println!("  {error}"),
        }
    }
    for workload in WORKLOADS {
        println!("{}: {}", workload.name, workload.stands_for);
        for row in workload.rows {
            println!("  {} {}  ({})", workload.name, row.name, row.parameters);
        }
    }
}
