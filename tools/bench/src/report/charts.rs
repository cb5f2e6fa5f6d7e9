//! The plots of the report, each from the results.

use super::{
    colour, mean_ratio,
    plot::{Axis, Plot, Scale, dot, px},
    times,
};
use crate::{
    results::{Outcome, Results},
    statistics::{Ratio, median},
    table::duration,
    workloads::{self, Parameters},
};
use maud::{Markup, html};

fn ratio_text(value: f64) -> String {
    let text = format!("{value:.2}");
    format!("×{}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn count(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0}"),
        ..1e6 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.0}M", value / 1e6),
    }
}

/// Mean time against mean memory; nothing where there are no two allocators to compare.
pub fn frontier(results: &Results) -> Option<Markup> {
    let time = |outcome: &Outcome| outcome.times(results.clock).map(|times| median(&times));
    let memory = |outcome: &Outcome| outcome.median(|run| run.rss_peak_kib as f64);
    let point = |index| Some((index, mean_ratio(results, index, time)?, mean_ratio(results, index, memory)?));
    let points: Vec<(usize, f64, f64)> = (0..results.candidates.len()).filter_map(point).collect();
    if points.len() < 2 {
        return None;
    }
    let axis = |values: Vec<f64>, label| {
        Axis::over(Scale::Logarithmic, values.into_iter().chain([1.0, 1.25]), label, ratio_text)
    };
    let plot = Plot {
        title: "time and memory over the best".to_owned(),
        width: 760.0,
        height: 420.0,
        left: 60.0,
        x: axis(points.iter().map(|point| point.1).collect(), "time / best"),
        y: Some(axis(points.iter().map(|point| point.2).collect(), "peak memory / best")),
    };
    let drawn: Vec<Markup> = points
        .iter()
        .map(|(index, time, memory)| {
            let (x, y, name) = (plot.at_x(*time), plot.at_y(*memory), &results.candidates[*index].name);
            let told = format!("{name}: time {}, memory {}", ratio_text(*time), ratio_text(*memory));
            // A name that would leave the plot stands on the other side of its point.
            let (place, anchor) = if x > plot.width - 140.0 { (x - 8.0, "end") } else { (x + 8.0, "start") };
            html! {
                (dot(&colour(*index), &told, x, y))
                text.name.(colour(*index)) x=(px(place)) y=(px(y + 4.0)) text-anchor=(anchor) { (name) }
            }
        })
        .collect();
    Some(plot.frame(&drawn))
}

/// Every row's ratios with their intervals, over glibc or else the first candidate.
pub fn ratios(results: &Results) -> Option<Markup> {
    let reference = results.candidates.iter().position(|candidate| candidate.name == "glibc").unwrap_or(0);
    let mut rows = Vec::new();
    for row in &results.rows {
        let Some(base) = times(results, row, reference) else { continue };
        let others = (0..results.candidates.len()).filter(|index| *index != reference);
        let found = others.filter_map(|index| Some((index, Ratio::of(&times(results, row, index)?, &base))));
        rows.push((row.title(), found.collect::<Vec<_>>()));
    }
    let all: Vec<f64> =
        rows.iter().flat_map(|(_, found)| found.iter().flat_map(|(_, ratio)| <[f64; 2]>::from(ends(ratio)))).collect();
    if all.is_empty() {
        return None;
    }
    let most = rows.iter().map(|(_, found)| found.len()).max().unwrap_or(1) as f64;
    let (step, first) = ((most * 5.0 + 6.0).max(18.0), 32.0);
    let plot = Plot {
        title: format!("time / {}", results.candidates[reference].name),
        width: 1100.0,
        height: first + step * rows.len() as f64 + 44.0,
        left: 250.0,
        x: Axis::over(Scale::Logarithmic, all.into_iter().chain([0.8, 1.25]), "logarithmic", ratio_text),
        y: None,
    };
    let mut drawn = Vec::new();
    for (index, (title, found)) in rows.iter().enumerate() {
        let top = first + step * index as f64;
        drawn.push(html! {
            @if index % 2 == 1 { rect.stripe x="0" y=(px(top)) width=(px(plot.width)) height=(px(step)) {} }
            text x="12" y=(px(top + step / 2.0 + 4.0)) { (title) }
        });
        for (line, (candidate, ratio)) in found.iter().enumerate() {
            let y = top + step / 2.0 + (line as f64 - (found.len() as f64 - 1.0) / 2.0) * 5.0;
            let name = &results.candidates[*candidate].name;
            let (low, high) = ends(ratio);
            let told = format!("{name}: {ratio}");
            drawn.push(html! {
                line.whisker.(colour(*candidate)) x1=(px(plot.at_x(low))) x2=(px(plot.at_x(high))) y1=(px(y)) y2=(px(y)) {}
                (dot(&colour(*candidate), &told, plot.at_x(ratio.value), y))
            });
        }
    }
    let one = px(plot.at_x(1.0));
    drawn.push(html! { line.one x1=(one) x2=(one) y1=(first) y2=(px(plot.height - 42.0)) {} });
    Some(plot.frame(&drawn))
}

/// Where the whisker of a ratio ends; without an interval it has none.
fn ends(ratio: &Ratio) -> (f64, f64) {
    ratio.interval.unwrap_or((ratio.value, ratio.value))
}

/// A line for each candidate; nothing where no candidate has two points.
fn lines(
    results: &Results,
    title: &str,
    (x_scale, x_label, x_text): (Scale, &'static str, fn(f64) -> String),
    (y_scale, y_label, y_text): (Scale, &'static str, fn(f64) -> String),
    curves: &[(usize, Vec<(f64, f64)>)],
) -> Option<Markup> {
    if !curves.iter().any(|(_, points)| points.len() >= 2) {
        return None;
    }
    let points = || curves.iter().flat_map(|(_, points)| points.iter().copied());
    let plot = Plot {
        title: title.to_owned(),
        width: 560.0,
        height: 320.0,
        left: 76.0,
        x: Axis::over(x_scale, points().map(|point| point.0), x_label, x_text),
        y: Some(Axis::over(y_scale, points().map(|point| point.1), y_label, y_text)),
    };
    let drawn: Vec<Markup> = curves
        .iter()
        .map(|(index, points)| plot.line(&colour(*index), &results.candidates[*index].name, points))
        .collect();
    Some(plot.frame(&drawn))
}

/// Memory over time, a plot for each row that has it.
pub fn memory_courses(results: &Results) -> Vec<Markup> {
    let milliseconds: fn(f64) -> String = |value| format!("{value:.0}");
    let mebibytes: fn(f64) -> String = |value| if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    let one = |row: &crate::results::Row| {
        let curves: Vec<(usize, Vec<(f64, f64)>)> = row
            .outcomes
            .iter()
            .enumerate()
            .filter(|(index, _)| !results.candidates[*index].is_ceiling())
            .map(|(index, outcome)| {
                let points = outcome.memory_over_time.iter().map(|(time, kib)| (*time, *kib as f64 / 1024.0));
                (index, points.collect())
            })
            .collect();
        let (x, y) = ((Scale::Linear, "milliseconds", milliseconds), (Scale::Linear, "MiB", mebibytes));
        lines(results, &row.title(), x, y, &curves)
    };
    results.rows.iter().filter_map(one).collect()
}

/// Resident over live memory through simulated time, a plot for each row that has it.
pub fn drifts(results: &Results) -> Vec<Markup> {
    let hours: fn(f64) -> String = |value| format!("{value:.0}");
    let one = |row: &crate::results::Row| {
        let curves: Vec<_> = row.outcomes.iter().map(Outcome::drift).enumerate().collect();
        let (x, y) =
            ((Scale::Linear, "hour", hours), (Scale::Linear, "resident / live", ratio_text as fn(f64) -> String));
        lines(results, &row.title(), x, y, &curves)
    };
    results.rows.iter().filter_map(one).collect()
}

/// The distribution of latencies, a plot for each row that has it.
pub fn latencies(results: &Results) -> Vec<Markup> {
    let one = |row: &crate::results::Row| {
        let curve = |outcome: &Outcome| {
            let latency = outcome.latency()?;
            Some(latency.curve.iter().map(|(rarity, time)| (1.0 / rarity, time.max(1.0))).collect())
        };
        let curves: Vec<(usize, Vec<(f64, f64)>)> =
            row.outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, curve(outcome)?))).collect();
        let x = (Scale::Logarithmic, "one call in", count as fn(f64) -> String);
        lines(results, &row.title(), x, (Scale::Logarithmic, "longer than", duration as fn(f64) -> String), &curves)
    };
    results.rows.iter().filter_map(one).collect()
}

/// Time against the parameter along which a workload's rows grow.
pub fn cost_curves(results: &Results) -> Vec<Markup> {
    let one = |workload: &&'static workloads::Workload| {
        let axis = workload.axis?;
        let mut curves = vec![Vec::new(); results.candidates.len()];
        for row in results.rows.iter().filter(|row| row.workload == workload.name) {
            let parameters = Parameters::parse(row.parameters.split(' ')).ok()?;
            for (curve, outcome) in curves.iter_mut().zip(&row.outcomes) {
                if let Some(times) = outcome.times(results.clock) {
                    curve.push((parameters.get(axis) as f64, median(&times)));
                }
            }
        }
        let curves: Vec<(usize, Vec<(f64, f64)>)> = curves.into_iter().enumerate().collect();
        let y = (Scale::Logarithmic, "time per operation", duration as fn(f64) -> String);
        lines(results, workload.name, (Scale::Logarithmic, axis, count as fn(f64) -> String), y, &curves)
    };
    workloads::WORKLOADS.iter().filter_map(one).collect()
}
