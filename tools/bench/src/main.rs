//! `hakmem-bench`: the benchmark as a command of its own, without the rest of `hakmem`.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Compare allocators fairly: the same workloads, alternating, each in a fresh process.
#[derive(Parser)]
#[command(name = "hakmem-bench", version, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(flatten)]
    args: hakmem_bench::Args,

    #[command(subcommand)]
    check: Option<Check>,
}

#[derive(Subcommand)]
enum Check {
    /// Check in under a minute that a library is sound and no slower than it may be
    Health(hakmem_bench::HealthArgs),
}

fn main() -> ExitCode {
    if let Some(ended) = hakmem_bench::worker_main() {
        return ended;
    }
    let Command { args, check } = Command::parse();
    let ended = match check {
        Some(Check::Health(args)) => hakmem_bench::health(&args),
        None => hakmem_bench::run(args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("hakmem-bench: {error:#}");
        ExitCode::FAILURE
    })
}
