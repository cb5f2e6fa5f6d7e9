//! The `hakmem` command: one file per subcommand.
#![forbid(unsafe_code)]

mod doctor;
mod library;
mod options;
mod probe;
mod run;
mod settings;

use clap::{Parser, Subcommand};
use std::io;
use std::process::ExitCode;

/// Run programs on the HAKMEM memory allocator, list its settings, check whether a program can run on it, compare allocators.
#[derive(Parser)]
#[command(name = "hakmem", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Options(options::Args),
    Doctor(doctor::Args),
    /// Compare allocators: speed, memory and latency, alternating, each run in a fresh process
    Bench(Box<hakmem_bench::Args>),
    /// Check in under a minute that the library is sound and no slower than it may be
    Health(hakmem_bench::HealthArgs),
    #[command(name = probe::NAME, hide = true)]
    Probe,
}

fn main() -> ExitCode {
    // The benchmark starts this command again for every run.
    if let Some(ended) = hakmem_bench::worker_main() {
        return ended;
    }
    let outcome = match Cli::parse().command {
        Command::Run(args) => Ok(run::run(args)),
        Command::Options(args) => options::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Bench(args) => hakmem_bench::run(*args),
        Command::Health(args) => hakmem_bench::health(&args),
        Command::Probe => probe::run(),
    };
    outcome.unwrap_or_else(|error| match error.downcast_ref::<io::Error>() {
        // The reader went away, as in `hakmem options | head`: nobody is left to tell.
        Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => {
            eprintln!("hakmem: {error:#}");
            ExitCode::FAILURE
        }
    })
}
