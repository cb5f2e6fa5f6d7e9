//! Forks a process at each step of a slow path of the allocator, and tries the child's heap.
//!
//! ```text
//! hakmem-fork-steps fork|clone [--in-handler] [--every-time] [--patience SECONDS] [--only PART-OF-A-NAME]
//! hakmem-fork-steps fork|clone [--busy CHILDREN] [--at-rest CHILDREN] [--patience SECONDS]
//! ```
//!
//! A process runs a scenario on one thread, which this program steps through by ptrace; or the scavenger, which that thread starts.
//! After each instruction that writes to memory another thread of that process makes a child, in which the stepped thread is gone, in
//! the middle of what it did. The child validates its heap, uses it from several threads, frees what the thread had, and validates
//! it again. Where one fails the program says after which instruction. It ends with status 0 if all children were sound.
//!
//! With `--in-handler` the stepped thread itself makes the child, in a signal handler. The child uses its heap there, returns from the
//! handler, ends what the thread was doing, and is tried then.
//!
//! With `--busy` or `--at-rest` nothing is stepped: so many children are made beside threads that work, or after threads have ended.

mod blocks;
mod busy;
mod child;
mod clock;
mod scenarios;
mod steps;
mod stores;
mod traced;
mod words;

use busy::Counts;
use child::Way;
use scenarios::{SCENARIOS, Stepped};
use std::collections::BTreeMap;
use std::env;
use std::ffi::c_void;
use std::process::ExitCode;
use steps::Finding;
use traced::Trial;

/// Seconds after which a child counts as hanging, if nothing else is said: nothing but a hang explains them.
const HANGS_AFTER: u32 = 1800;

/// Lines of the stack that are printed.
const LINES: usize = 6;

struct Options {
    trial: Trial,
    every_time: bool,
    only: String,
    /// Children to make where nothing is stepped.
    counts: Counts,
}

fn options() -> Option<Options> {
    let mut arguments = env::args().skip(1);
    let way = match arguments.next()?.as_str() {
        "fork" => Way::Fork,
        "clone" => Way::Clone,
        _ => return None,
    };
    let trial = Trial { way, in_handler: false, patience: HANGS_AFTER };
    let mut options = Options { trial, every_time: false, only: String::new(), counts: Counts::default() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--in-handler" => options.trial.in_handler = true,
            "--every-time" => options.every_time = true,
            "--patience" => options.trial.patience = arguments.next()?.parse().ok()?,
            "--only" => options.only = arguments.next()?,
            "--busy" => options.counts.busy = arguments.next()?.parse().ok()?,
            "--at-rest" => options.counts.at_rest = arguments.next()?.parse().ok()?,
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
        eprintln!("       hakmem-fork-steps fork|clone [--busy CHILDREN] [--at-rest CHILDREN] [--patience SECONDS]");
        return ExitCode::FAILURE;
    };
    if options.counts.busy + options.counts.at_rest > 0 {
        return make(options.trial, options.counts);
    }
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

fn make(trial: Trial, counts: Counts) -> ExitCode {
    let complaints = busy::run(trial, counts);
    complaints.iter().for_each(|(what, times)| println!("  {times} x {what}"));
    println!("{} children beside busy threads, {} of a process at rest", counts.busy, counts.at_rest);
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
