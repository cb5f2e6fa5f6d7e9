//! `--compare old.json new.json`: what changed from one comparison to another, beyond noise.

use crate::{
    results::{FORMAT, Outcome, Results},
    statistics::{Ratio, geometric_mean},
    table::duration,
};
use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use std::{fs, path::Path, process::ExitCode};

/// A change of the peak of resident memory below this is none.
const MEMORY_NOISE: f64 = 0.03;

/// Reads the results that `--json` wrote.
pub fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let results: Results = serde_json::from_str(&text)
        .with_context(|| format!("{} holds no results; `--json` writes a file that does", path.display()))?;
    if results.format != FORMAT {
        bail!("{} has format {}, this command reads {FORMAT}", path.display(), results.format);
    }
    Ok(results)
}

/// Prints the rows whose time or memory changed, and the mean over all.
pub fn compare(old: &Path, new: &Path) -> Result<ExitCode> {
    let (old, new) = (read(old)?, read(new)?);
    if old.clock != new.clock {
        bail!("one comparison was by {:?} time, the other by {:?} time; `--by` chooses", old.clock, new.clock);
    }
    if old.machine != new.machine {
        println!("Not the same machine: what differs may be its doing.\n  {:?}\n  {:?}", old.machine, new.machine);
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "",
        "allocator",
        "time",
        "new / old",
        "peak memory",
        "new / old",
    ]);
    let mut compared = 0;
    for (index, candidate) in new.candidates.iter().enumerate() {
        let Some(before) = old.candidates.iter().position(|other| other.name == candidate.name) else { continue };
        let mut ratios = Vec::new();
        for row in &new.rows {
            // With other parameters a row measures something else.
            let same =
                |other: &&crate::results::Row| other.title() == row.title() && other.parameters == row.parameters;
            let Some(old_row) = old.rows.iter().find(same) else { continue };
            compared += 1;
            let (now, then) = (&row.outcomes[index], &old_row.outcomes[before]);
            let (Some(new_times), Some(old_times)) = (now.times(new.clock), then.times(old.clock)) else {
                if now.failure != then.failure {
                    let state = |outcome: &Outcome| outcome.failure.clone().unwrap_or_else(|| "ran".to_owned());
                    println!("{} in {}: {} before, {} now", candidate.name, row.title(), state(then), state(now));
                }
                continue;
            };
            let time = Ratio::of_medians(&new_times, &old_times);
            ratios.push(time.value);
            let peak = |outcome: &Outcome| outcome.median(|run| run.rss_peak_kib as f64).unwrap_or(f64::NAN);
            let (new_peak, old_peak) = (peak(now), peak(then));
            let memory = new_peak / old_peak;
            if time.is_tie() && (memory - 1.0).abs() < MEMORY_NOISE {
                continue;
            }
            let median = |times: &[f64]| duration(crate::statistics::median(times));
            table.add_row([
                row.title(),
                candidate.name.clone(),
                format!("{} → {}", median(&old_times), median(&new_times)),
                format!("{time} {}", time.verdict(["faster", "same", "slower"])),
                format!("{:.1} → {:.1} MiB", old_peak / 1024.0, new_peak / 1024.0),
                format!("{memory:.2}"),
            ]);
        }
        if !ratios.is_empty() {
            println!("{}: time × {:.3} over {} rows", candidate.name, geometric_mean(&ratios), ratios.len());
        }
    }
    if compared == 0 {
        bail!("the two comparisons have no row and allocator in common (rows must have the same parameters)");
    }
    if table.row_count() > 0 {
        println!("{table}");
    } else {
        println!("Nothing changed beyond noise.");
    }
    Ok(ExitCode::SUCCESS)
}
