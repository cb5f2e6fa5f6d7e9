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

/// Run programs on the HAKMEM memory allocator, list its settings, check whether a program can run on it.
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
    #[command(name = probe::NAME, hide = true)]
    Probe,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => Ok(run::run(args)),
        Command::Options(args) => options::run(args),
        Command::Doctor(args) => doctor::run(args),
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
