//! The report: one HTML page with its styles and SVG plots inside, in light and dark.

mod charts;
mod plot;

use crate::{
    results::{Clock, Outcome, Results, Row},
    statistics::{Ratio, geometric_mean, median},
    table::{duration, freed, has_stages, kernel_work, mebibytes, server_stages},
};
use charts::{cost_curves, drifts, frontier, latencies, memory_courses, ratios};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page.
pub fn page(results: &Results) -> Markup {
    let machine = &results.machine;
    let clock = match results.clock {
        Clock::Wall => "wall-clock time",
        Clock::Cpu => "CPU time",
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Allocators compared" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                h1 { "Allocators compared" }
                p {
                    (machine.cpu) ", " (machine.cpus) " CPUs, " (machine.memory_mib / 1024) " GiB, " (machine.system)
                    ", kernel " (machine.kernel) ", huge pages: " (machine.huge_pages) ". "
                    (results.rounds) " rounds by " (clock) ". Lower is better everywhere."
                }
                p { code { (results.command.join(" ")) } }
                (legend(results))
                (memory_table(results))
                @for (title, explanation, plots) in sections(results) {
                    @if !plots.is_empty() {
                        section {
                            h2 { (title) }
                            p { (explanation) }
                            div.plots { @for plot in plots { (plot) } }
                        }
                    }
                }
                section {
                    h2 { "All rows" }
                    p { "Time per operation and × the best of the row. ≈ is a tie: the interval contains 1. ! was disturbed by other load." }
                    (table(results))
                }
                (failures(results))
            }
        }
    }
}

/// The colour of a candidate, as a class of the style sheet.
fn colour(index: usize) -> String {
    format!("c{}", index % 12)
}

/// A title, what to see, and the plots.
type Section = (&'static str, &'static str, Vec<Markup>);

fn sections(results: &Results) -> Vec<Section> {
    let mut sections = vec![
        (
            "Speed against memory",
            "Each allocator's time and peak resident memory over the best of each row, as geometric means over the rows that it finished. Nobody is to the left of and below an allocator on the frontier.",
            frontier(results).into_iter().collect(),
        ),
        (
            "Time, row by row",
            "Each allocator's time over glibc's (or the first allocator's), with 95 % intervals. Left of 1 is faster.",
            ratios(results).into_iter().collect(),
        ),
        (
            "Memory over time",
            "Resident memory in the first round, and what is left when all is freed.",
            memory_courses(results),
        ),
        (
            "Memory through a day",
            "Resident over live memory while sizes and lifetimes drift, in the first round.",
            drifts(results),
        ),
        ("Latency of single calls", "The time that one call in so many exceeds.", latencies(results)),
        (
            "Cost against live objects and threads",
            "Time per operation as the rows of a workload grow.",
            cost_curves(results),
        ),
    ];
    if results.is_about_memory() {
        // What was asked comes first.
        sections.sort_by_key(|(title, ..)| !title.starts_with("Memory"));
    }
    sections
}

/// Peaks, what is left and what it cost, where the comparison is about memory.
fn memory_table(results: &Results) -> Markup {
    let peak = |outcome: &Outcome| outcome.median(|run| run.rss_peak_kib as f64);
    html! {
        @if results.is_about_memory() {
            section {
                h2 { "Memory, row by row" }
                p {
                    "Peak resident memory in MiB. Below it: what is left above the start when all is freed → after idle seconds "
                    "→ after malloc_trim, where the allocator has one (of servers: when ready → when the load is gone → 3 s → 10 s later, "
                    "+ what is live); page faults, system time."
                }
                div.wide { table {
                    thead { tr { th {} @for candidate in &results.candidates { th { (candidate.name) } } } }
                    tbody {
                        @for row in &results.rows {
                            @let best = results.best(row, peak);
                            tr {
                                th { (row.title()) }
                                @for (index, outcome) in row.outcomes.iter().enumerate() {
                                    td title=(row.parameters) {
                                        span.best[best == Some(index)] {
                                            (peak(outcome).map_or("–".to_owned(), mebibytes))
                                        }
                                        @if has_stages(row) { br; (freed(outcome).unwrap_or_default()) }
                                        @if let Some(stages) = server_stages(outcome) { br; (stages) }
                                        br; (kernel_work(outcome).unwrap_or_default())
                                    }
                                }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn legend(results: &Results) -> Markup {
    html! {
        ul.legend {
            @for (index, candidate) in results.candidates.iter().enumerate() {
                li { span.swatch.(colour(index)) {} b { (candidate.name) } " " small { (candidate.version) } }
            }
        }
    }
}

/// The time of each run of a row for a candidate that takes part in the competition.
fn times(results: &Results, row: &Row, index: usize) -> Option<Vec<f64>> {
    row.outcomes[index].times(results.clock).filter(|_| !results.candidates[index].is_ceiling())
}

fn table(results: &Results) -> Markup {
    let middle = |outcome: &Outcome| outcome.times(results.clock).map(|times| median(&times));
    html! {
        div.wide { table {
            thead { tr { th {} @for candidate in &results.candidates { th { (candidate.name) } } } }
            tbody {
                @for row in &results.rows {
                    @let best = results.best(row, middle);
                    tr {
                        th { (row.title()) }
                        @for (index, outcome) in row.outcomes.iter().enumerate() {
                            td.best[best == Some(index)] title=(row.parameters) { (cell(results, row, index, outcome, best)) }
                        }
                    }
                }
                tr {
                    th { "geometric mean of time / best" }
                    @for index in 0..results.candidates.len() { td { (mean(results, index)) } }
                }
            }
        } }
    }
}

fn cell(results: &Results, row: &Row, index: usize, outcome: &Outcome, best: Option<usize>) -> String {
    let (Some(own), Some(best)) = (outcome.times(results.clock), best) else {
        return if outcome.failure.is_some() { "failed" } else { "–" }.to_owned();
    };
    let time = duration(median(&own));
    if results.candidates[index].is_ceiling() {
        return time;
    }
    let ratio = Ratio::of(&own, &row.outcomes[best].times(results.clock).expect("the best has times"));
    let tie = if index != best && ratio.is_tie() { " ≈" } else { "" };
    let mark = if outcome.disturbed > 0 && results.clock == Clock::Wall { "!" } else { "" };
    let share = results.ceiling(row).map(|ceiling| format!(", {:.0} % of the ceiling", ceiling / median(&own) * 100.0));
    format!("{time}{mark}{tie} ×{:.2}{}", ratio.value, share.unwrap_or_default())
}

/// A candidate's time over the best of each row; nothing if it finished none.
fn mean_ratio(results: &Results, index: usize, figure: impl Fn(&Outcome) -> Option<f64> + Copy) -> Option<f64> {
    let ratio = |row: &Row| {
        let best = figure(&row.outcomes[results.best(row, figure)?])?;
        Some(figure(&row.outcomes[index])? / best)
    };
    let all: Vec<f64> = results.rows.iter().filter_map(ratio).collect();
    (!all.is_empty() && !results.candidates[index].is_ceiling()).then(|| geometric_mean(&all))
}

fn mean(results: &Results, index: usize) -> String {
    let value = mean_ratio(results, index, |outcome| outcome.times(results.clock).map(|times| median(&times)));
    value.map_or("–".to_owned(), |value| format!("×{value:.3}"))
}

fn failures(results: &Results) -> Markup {
    let failed: Vec<(String, &str, &str)> = results
        .rows
        .iter()
        .flat_map(|row| {
            let named = results.candidates.iter().zip(&row.outcomes);
            named.filter_map(|(candidate, outcome)| {
                Some((row.title(), candidate.name.as_str(), outcome.failure.as_deref()?))
            })
        })
        .collect();
    html! {
        @if !failed.is_empty() {
            section {
                h2 { "Failures" }
                ul { @for (title, name, reason) in failed { li { b { (name) } " in " (title) ": " (reason) } } }
            }
        }
    }
}
