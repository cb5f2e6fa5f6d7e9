//! Replays programs: each file named on the command line, with each step printed before it is carried out. So the last
//! line before a crash names the step at fault.

use hakmem_operations::{Program, run_telling};
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: hakmem-operations FILE...");
        return ExitCode::FAILURE;
    }
    for file in files {
        let program = match std::fs::read(&file) {
            Ok(bytes) => Program::read(&bytes),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let kind = if program.free_running { "workers run at the same time" } else { "one step after the other" };
        println!("{file}: {} steps, {kind}", program.steps.len());
        run_telling(&program, |step| println!("  {step}"));
    }
    ExitCode::SUCCESS
}
