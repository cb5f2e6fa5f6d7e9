//! Compares allocators fairly.
//!
//! [`run`] is the command: it picks candidates and rows, has [`runner`] measure them in worker processes, and shows
//! the results. [`worker`] is what those processes do; [`workloads`] holds the loops they run.

pub mod blocks;
pub mod calls;
pub mod candidates;
pub mod ceiling;
pub mod compare;
pub mod health;
pub mod latency;
pub mod limits;
pub mod machine;
pub mod meter;
pub mod peers;
pub mod process;
pub mod programs;
pub mod random;
pub mod report;
pub mod results;
pub mod runner;
pub mod servers;
pub mod source;
pub mod statistics;
pub mod table;
pub mod threads;
pub mod worker;
pub mod workloads;

pub use health::{HealthArgs, health};
pub use worker::worker_main;

use anyhow::{Context, Result, bail};
use programs::{Inputs, PROGRAMS};
use results::{Clock, FORMAT, Results};
use runner::{Plan, Task, Work};
use servers::{Place, SERVERS};
use std::{env, fs, path::PathBuf, process::ExitCode, time::Duration};
use workloads::{Parameters, memory};

/// What to compare, and how.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The allocators to compare, separated by commas; all that are there if left out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    libs: Vec<String>,

    /// One more allocator: a preload library of yours
    #[arg(long = "lib", value_name = "NAME=PATH")]
    own: Vec<String>,

    /// Only rows whose title (workload and parameters) starts so, separated by commas; `memory` compares memory
    #[arg(long, value_delimiter = ',', value_name = "TITLES")]
    only: Vec<String>,

    /// The most telling rows only, shortened: under two minutes for a dozen allocators
    #[arg(long, conflicts_with = "full")]
    quick: bool,

    /// All rows and whole programs, in more rounds
    #[arg(long)]
    full: bool,

    /// Compare the allocators in a program of yours: `--program -- ./mine arguments`
    #[arg(long, requires = "command", conflicts_with_all = ["only", "quick", "full"])]
    program: bool,

    /// The program and its arguments
    #[arg(last = true, requires = "program", value_name = "COMMAND")]
    command: Vec<String>,

    /// How often every allocator runs every row [default: 5; 3 with --quick, 9 with --full]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,

    /// The time to compare by: `cpu` stays comparable while other programs run
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    by: Clock,

    /// Lengthen or shorten every run by this factor
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    scale: f64,

    /// Repeat a run that other load disturbed up to so many times [default: 2; 0 with --quick]
    #[arg(long, value_name = "TIMES")]
    repeats: Option<u16>,

    /// Seconds after which a run counts as hanging
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,

    /// Every figure of every allocator, too
    #[arg(long)]
    details: bool,

    /// Write all results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a report with plots to this file: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Show what changed between two files that `--json` wrote, beyond noise, and end
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    compare: Vec<PathBuf>,

    /// Show the results in a file that `--json` wrote (with `--html` as a report, too), and end
    #[arg(long, value_name = "FILE")]
    show: Option<PathBuf>,

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
    if let [old, new] = &args.compare[..] {
        return compare::compare(old, new);
    }
    if let Some(path) = &args.show {
        return present(&compare::read(path)?, &args);
    }
    if !(args.scale > 0.0 && args.scale <= 1000.0) {
        bail!("`--scale {}` is no factor between 0 and 1000", args.scale);
    }
    let mut candidates = candidates::select(&args.libs, &args.own)?;
    let inputs = Inputs::new()?;
    let tasks = select_rows(&args, &inputs)?;
    let plan = Plan {
        rounds: args
            .rounds
            .unwrap_or(if args.quick {
                3
            } else if args.full {
                9
            } else {
                5
            })
            .into(),
        idle: !args.quick,
        clock: args.by,
        timeout: Duration::from_secs(args.timeout),
        repeats: args.repeats.unwrap_or(if args.quick { 0 } else { 2 }).into(),
    };
    if args.libs.is_empty() {
        // Where it has nothing to run, it needs no column.
        candidates.retain(|candidate| tasks.iter().any(|task| task.work.is_for(candidate)));
    }
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
    if let Some(path) = &args.json {
        let text = serde_json::to_string(&results).context("the results cannot be written as JSON")?;
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    present(&results, &args)
}

/// Shows results in the terminal, and as a report if one is asked for.
fn present(results: &Results, args: &Args) -> Result<ExitCode> {
    table::print(results, args.details);
    if let Some(path) = &args.html {
        let page = report::page(results).into_string();
        fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("Report: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// How much shorter the runs of a quick comparison are.
const QUICK_SCALE: f64 = 0.5;

/// What the user wants to see run, as tasks.
fn select_rows(args: &Args, inputs: &Inputs) -> Result<Vec<Task>> {
    if let Some((program, arguments)) = args.command.split_first() {
        return own_program(program, arguments).map(|task| vec![task]);
    }
    let chosen = |title: &str| args.only.iter().any(|start| title.starts_with(start.as_str()));
    let scale = if args.quick { args.scale * QUICK_SCALE } else { args.scale };
    let mut tasks = Vec::new();
    for workload in workloads::all() {
        let ordinary = !workload.name.starts_with(memory::GROUP);
        for row in workload.rows {
            let wanted = (args.only.is_empty() && ordinary) || chosen(&format!("{} {}", workload.name, row.name));
            if !wanted || (args.quick && !row.quick) {
                continue;
            }
            let parameters = Parameters::parse(row.parameters.split(' ')).map_err(anyhow::Error::msg)?;
            tasks.push(Task {
                workload: workload.name.to_owned(),
                row: row.name.to_owned(),
                work: Work::Loop(workload, parameters.scaled(scale)),
            });
        }
    }
    for program in PROGRAMS {
        // Peaks of whole programs belong to the comparison of memory, too.
        let wanted = if args.only.is_empty() {
            args.full
        } else {
            chosen(&format!("program {}", program.name)) || chosen(&format!("memory_peak {}", program.name))
        };
        if !wanted {
            continue;
        }
        let missing = program.missing();
        if !missing.is_empty() {
            eprintln!("program {} is left out: {} is not installed", program.name, missing.join(", "));
            continue;
        }
        program.prepare(inputs)?;
        tasks.push(Task {
            workload: "program".to_owned(),
            row: program.name.to_owned(),
            work: Work::Program {
                program: program.words[0].to_owned(),
                arguments: program.words[1..].iter().map(|word| (*word).to_owned()).collect(),
                preloads_itself: program.preloads_itself,
                folder: Some(inputs.path().to_owned()),
            },
        });
    }
    for server in SERVERS {
        if !chosen(&format!("{} {}", servers::NAME, server.name)) {
            continue;
        }
        if let Some(missing) = server.missing() {
            eprintln!("{} {} is left out: {missing}", servers::NAME, server.name);
            continue;
        }
        let place = Place::new(inputs.path(), server, scale);
        tasks.push(Task {
            workload: servers::NAME.to_owned(),
            row: server.name.to_owned(),
            work: Work::Server(server, place),
        });
    }
    if tasks.is_empty() {
        bail!("no row's title starts with `{}`; `--list` shows them all", args.only.join("` or `"));
    }
    Ok(tasks)
}

/// The user's own program.
fn own_program(program: &str, arguments: &[String]) -> Result<Task> {
    let file = programs::find_program(program).with_context(|| format!("there is no program `{program}`"))?;
    Ok(Task {
        workload: "program".to_owned(),
        row: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        work: Work::Program {
            program: file.to_string_lossy().into_owned(),
            arguments: arguments.to_owned(),
            preloads_itself: false,
            folder: None,
        },
    })
}

fn list() {
    println!("Allocators:");
    for name in candidates::known_names() {
        match candidates::select(&[name.to_owned()], &[]) {
            Ok(_) => println!("  {name}"),
            Err(error) => println!("  {error}"),
        }
    }
    for workload in workloads::all() {
        println!("{}: {}", workload.name, workload.stands_for);
        for row in workload.rows {
            println!("  {} {}  ({})", workload.name, row.name, row.parameters);
        }
    }
    println!("program: whole programs under preload, in full comparisons, by `--only program` or by `--only memory`");
    for program in PROGRAMS {
        let missing = program.missing();
        let absent = if missing.is_empty() { String::new() } else { format!("; {} is missing", missing.join(", ")) };
        println!("  program {}  ({}{absent})", program.name, program.stands_for);
    }
    println!("{}: {}, by `--only memory`", servers::NAME, servers::STANDS_FOR);
    for server in SERVERS {
        let absent = server.missing().map(|missing| format!("; {missing}")).unwrap_or_default();
        println!("  {} {}  ({}{absent})", servers::NAME, server.name, server.stands_for);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    /// The workloads that some arguments select.
    fn selected(arguments: &[&str]) -> Vec<String> {
        let command = Command::parse_from([&["bench"], arguments].concat());
        let tasks = select_rows(&command.args, &Inputs::new().unwrap()).unwrap();
        let mut names: Vec<String> = tasks.into_iter().map(|task| task.workload).collect();
        names.dedup();
        names
    }

    #[test]
    fn the_comparison_of_memory_is_ten_benchmarks_and_servers_which_no_other_has() {
        // Those of servers only if one is installed.
        let mut names = selected(&["--only", "memory"]);
        names.retain(|name| name != servers::NAME);
        assert_eq!(names.len(), memory::WORKLOADS.len() + 1, "{names:?}");
        assert_eq!((names.len(), names.last().map(String::as_str)), (10, Some("program")));
        let others = selected(&[]);
        assert!(others.iter().all(|name| !name.starts_with(memory::GROUP)), "{others:?}");
    }
}
