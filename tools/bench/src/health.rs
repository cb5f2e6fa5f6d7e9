//! `health`: is the library in good health? Two speeds against glibc's, and the integrity of its blocks, in under a
//! minute.

use crate::{
    candidates::{self, Candidate},
    results::{Clock, Outcome, Row},
    runner::{self, Plan, Task, Work},
    statistics::{Ratio, median},
    table::duration,
    workloads::{self, Parameters},
};
use anyhow::{Result, bail};
use std::{process::ExitCode, time::Duration};

/// The lowest healthy speeds, as multiples of glibc's by CPU time. HAKMEM's own are 1.26 and 1.39, which seven rounds on a
/// quiet machine repeat to two hundredths: losing two thirds of the advantage fails, a busy machine does not.
const MIXED_FLOOR: f64 = 1.1;
const MIDDLE_FLOOR: f64 = 1.15;

/// What to check.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthArgs {
    /// Another library to check than HAKMEM: the name of an allocator, or a preload library as name=path
    #[arg(long, value_name = "NAME[=PATH]", default_value = "hakmem")]
    lib: String,

    /// How often each speed is measured
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,

    /// The lowest speed with blocks of 16 to 1024 bytes, as a multiple of glibc's
    #[arg(long, default_value_t = MIXED_FLOOR, allow_negative_numbers = true, value_name = "RATIO")]
    mixed_floor: f64,

    /// The lowest speed with blocks of 257 to 768 bytes, as a multiple of glibc's
    #[arg(long, default_value_t = MIDDLE_FLOOR, allow_negative_numbers = true, value_name = "RATIO")]
    middle_floor: f64,

    /// Lengthen or shorten every run by this factor
    #[arg(long, default_value_t = 0.3, value_name = "FACTOR")]
    scale: f64,

    /// Seconds after which a run counts as hanging
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// Checks the library; the exit code is success only if nothing is wrong.
pub fn health(args: &HealthArgs) -> Result<ExitCode> {
    for (name, value) in [("mixed-floor", args.mixed_floor), ("middle-floor", args.middle_floor)] {
        if !(value >= 0.0 && value.is_finite()) {
            bail!("`--{name} {value}` is no ratio; 1.2 would mean: a fifth faster than glibc");
        }
    }
    let (names, own): (&[String], &[String]) = if args.lib.contains('=') {
        (&["glibc".to_owned()], std::slice::from_ref(&args.lib))
    } else {
        (&["glibc".to_owned(), args.lib.clone()], &[])
    };
    let mut candidates = candidates::select(names, own)?;
    let speeds = [("16-1024 x400", args.mixed_floor), ("257-768 x400", args.middle_floor)];
    let tasks = speeds.iter().map(|(row, _)| task("random_mixed", row, args.scale)).collect::<Result<Vec<_>>>()?;
    // CPU time stays comparable where other programs run; a wrong byte needs no rounds.
    let plan = Plan {
        rounds: args.rounds.into(),
        clock: Clock::Cpu,
        timeout: Duration::from_secs(args.timeout),
        repeats: 0,
        idle: false,
    };
    let mut healthy = true;
    for (row, (_, floor)) in runner::run(&plan, &tasks, &mut candidates)?.iter().zip(speeds) {
        healthy &= check_speed(row, floor);
    }
    let rows = &workloads::find("integrity").expect("there is such a workload").rows;
    let tasks = rows.iter().map(|row| task("integrity", row.name, args.scale)).collect::<Result<Vec<_>>>()?;
    let mut subject: Vec<Candidate> = candidates.split_off(1);
    for row in runner::run(&Plan { rounds: 1, ..plan }, &tasks, &mut subject)? {
        let failure = row.outcomes[0].failure.as_ref();
        report(failure.is_none(), &row.title(), failure.map_or("every byte as it should be", String::as_str));
        healthy &= failure.is_none();
    }
    println!("{}: {}", subject[0].name, subject[0].version);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn task(workload: &str, row: &str, scale: f64) -> Result<Task> {
    let workload = workloads::find(workload).expect("there is such a workload");
    let row = workload.rows.iter().find(|candidate| candidate.name == row).expect("there is such a row");
    let parameters = Parameters::parse(row.parameters.split(' ')).map_err(anyhow::Error::msg)?.scaled(scale);
    let (title, name) = (workload.name.to_owned(), row.name.to_owned());
    Ok(Task { workload: title, row: name, work: Work::Loop(workload, parameters) })
}

/// Compares the second candidate of a row with the first, which is glibc.
fn check_speed(row: &Row, floor: f64) -> bool {
    let times =
        |outcome: &Outcome| outcome.times(Clock::Cpu).ok_or_else(|| outcome.failure.clone().unwrap_or_default());
    match (times(&row.outcomes[0]), times(&row.outcomes[1])) {
        (Ok(reference), Ok(subject)) => {
            let speed = Ratio::of(&reference, &subject);
            let healthy = speed.value >= floor;
            let told = format!(
                "{speed} times glibc's speed, floor {floor:.2} ({} against {})",
                duration(median(&subject)),
                duration(median(&reference)),
            );
            report(healthy, &row.title(), &told);
            healthy
        }
        (Err(reason), _) => {
            report(false, &row.title(), &format!("glibc {reason}"));
            false
        }
        (_, Err(reason)) => {
            report(false, &row.title(), &reason);
            false
        }
    }
}

fn report(healthy: bool, title: &str, told: &str) {
    println!("{:4} {title}: {told}", if healthy { "ok" } else { "FAIL" });
}
