//! Forks a process at each step of a slow path of the allocator, and tries the child's heap.
//!
//! ```text
//! hakmem-fork-steps fork|clone [--in-handler] [--every-time] [--patience SECONDS] [--only PART-OF-A-NAME]
//! ```
//!
//! A process runs a scenario on one thread, which this program steps through by ptrace; or the scavenger, which that thread starts.
//! After each instruction that writes to memory another thread of that process makes a child, in which the stepped thread is gone, in
//! the middle of what it did. The child validates its heap, uses it from several threads, frees what the thread had, and validates
//! it again. Where one fails the program says after which instruction. It ends with status 0 if all children were sound.
//!
//! With `--in-handler` the stepped thread itself makes the child, in a signal handler. The child uses its heap there, returns from the
//! handler, ends what the thread was doing, and is tried then.

mod blocks;
mod child;
mod clock;
mod scenarios;
mod steps;
mod stores;
mod traced;
mod words;

use child::Way;
use scenarios::{SCENARIOS, Stepped};
use std::collections::BTreeMap;
use std::env;
use std::ffi::c_void;
use std::process::ExitCode;
use steps::Finding;
use traced::Trial;

/// Lines of the stack that are printed.
const LINES: usize = 6;

struct Options {
    trial: Trial,
    every_time: bool,
    only: String,
}

fn options() -> Option<Options> {
    let mut arguments = env::args().skip(1);
    let way = match arguments.next()?.as_str() {
        "fork" => Way::Fork,
        "clone" => Way::Clone,
        _ => return None,
    };
    let trial = Trial { way, in_handler: false, patience: 60 };
    let mut options = Options { trial, every_time: false, only: String::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--in-handler" => options.trial.in_handler = true,
            "--every-time" => options.every_time = true,
            "--patience" => options.trial.patience = arguments.next()?.parse().ok()?,
            "--only" => options.only = arguments.next()?,
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!(
            "usage: hakmem-fork-steps fork|clone [--in-handler] [--every-time] [--patience SECONDS] [--only NAME]"
        );
        return ExitCode::FAILURE;
    };
    let (mut sound, mut children) = (true, 0);
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&options.only)) {
        // The scavenger gets no signals.
        if options.trial.in_handler && (scenario.is_part || scenario.stepped != Stepped::Itself) {
            continue;
        }
        let outcome = steps::run(scenario, options.trial, options.every_time);
        println!(
            "{}: {} steps, {} children, {} of them not sound",
            scenario.name,
            outcome.steps,
            outcome.children,
            outcome.findings.len()
        );
        print(&outcome.findings);
        if let Some(problem) = &outcome.problem {
            println!("  not done: {problem}");
        }
        sound &= outcome.findings.is_empty() && outcome.problem.is_none();
        children += outcome.children;
    }
    println!("{children} children");
    if sound && children != 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints each place once, with what children said there.
fn print(findings: &[Finding]) {
    let mut places: BTreeMap<(Vec<String>, &str), usize> = BTreeMap::new();
    for finding in findings {
        let mut stack = describe(finding.address);
        finding.callers.iter().for_each(|caller| stack.extend(describe(*caller - 1)));
        stack.truncate(LINES);
        *places.entry((stack, finding.what.trim_end_matches("; "))).or_default() += 1;
    }
    for ((stack, what), times) in places {
        println!("  {} <- {}\n      {times} x {what}", stack[0], stack[1..].join(" <- "));
    }
}

/// The function and line of an instruction, then the functions that it was inlined into, without those of the standard library.
fn describe(address: u64) -> Vec<String> {
    let mut lines = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| {
        let Some(file) = symbol.filename().filter(|file| !file.to_string_lossy().contains("/library/")) else { return };
        let name = symbol.name().map_or_else(|| "?".to_string(), |name| format!("{name:#}"));
        let name = name.split('<').next().unwrap_or_default();
        let file = file.iter().rev().take(2).collect::<Vec<_>>();
        let file = file.iter().rev().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        lines.push(format!("{name} ({}:{})", file.trim_start_matches("src/"), symbol.lineno().unwrap_or(0)));
    });
    if lines.is_empty() {
        lines.push(format!("{address:#x}"));
    }
    lines
}
