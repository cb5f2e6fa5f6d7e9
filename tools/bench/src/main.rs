//! `hakmem-bench`: the benchmark as a command of its own, without the rest of `hakmem`.

use clap::Parser;
use std::process::ExitCode;

/// Compare allocators fairly: the same workloads, alternating, each in a fresh process.
#[derive(Parser)]
#[command(name = "hakmem-bench", version)]
struct Command {
    #[command(flatten)]
    args: hakmem_bench::Args,
}

fn main() -> ExitCode {
    hakmem_bench::run(Command::parse().args).unwrap_or_else(|error| {
        eprintln!("hakmem-bench: {error:#}");
        ExitCode::FAILURE
    })
}
