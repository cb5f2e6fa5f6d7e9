//! The worker process: `hakmem-bench-worker workload [--idle] name=number ...`
//!
//! It runs one workload under whatever allocator it was started with, prints one line of JSON and ends.

use hakmem_bench::worker;
use std::process::ExitCode;

fn main() -> ExitCode {
    worker::main(std::env::args().skip(1).collect())
}
