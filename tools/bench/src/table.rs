//! The results as tables in the terminal.

use crate::{
    candidates::Candidate,
    meter::Measurement,
    results::{Clock, Outcome, Results, Row},
    servers,
    statistics::{Ratio, geometric_mean, median},
};
use comfy_table::{Attribute, Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

/// The candidate whose standing against the best of the others gets a column of its own.
const SUBJECT: &str = "hakmem";

/// Prints everything there is to say on a terminal; about memory first where that was the question.
pub fn print(results: &Results, details: bool) {
    if results.is_about_memory() {
        print_memory(results);
        print_servers(results);
        print_costs(results);
        print_times(results);
    } else {
        print_times(results);
        print_memory(results);
        print_latencies(results);
    }
    if details {
        println!("{}", details_table(results));
    }
    print_notes(results);
}

fn print_times(results: &Results) {
    let clock = match results.clock {
        Clock::Wall => "wall-clock time",
        Clock::Cpu => "CPU time",
    };
    println!("Time per operation ({clock}, median of {} rounds), and × the best of the row", results.rounds);
    if results.candidates.iter().any(Candidate::is_ceiling) {
        println!("(with the percentage of the speed of the ceiling, which knows everything and competes with nobody)");
    }
    println!("{}", time_table(results));
}

fn print_memory(results: &Results) {
    println!("Peak resident memory in MiB, and × the smallest of the row");
    println!("{}", memory_table(results, |run| run.rss_peak_kib as f64));
    if results.rows.iter().any(has_stages) {
        println!(
            "Resident memory in MiB above the start: everything freed → after idle seconds → after its malloc_trim"
        );
        println!("{}", cells_table(results, has_stages, freed));
    }
}

/// Whether a row has memory at the stages of a workload. Of a whole program only the peak is known, and servers have
/// stages of their own.
pub fn has_stages(row: &Row) -> bool {
    row.workload != "program" && row.workload != servers::NAME
}

fn print_servers(results: &Results) {
    let is_server = |row: &Row| row.workload == servers::NAME;
    if !results.rows.iter().any(is_server) {
        return;
    }
    println!("Servers, in MiB: ready → load gone → 3 s → 10 s later; + what is live of the load");
    println!("{}", cells_table(results, is_server, server_stages));
    println!(
        "3 s after the load, in MiB above ready and live; of 15 MiB and a tenth of both, which is the aim; ! is more"
    );
    println!("{}", cells_table(results, is_server, above_live));
}

/// What a server has at each stage.
pub fn server_stages(outcome: &Outcome) -> Option<String> {
    let stages = [
        outcome.median(|run| run.rss_start_kib as f64)?,
        outcome.median(|run| run.rss_freed_kib as f64)?,
        outcome.of_server(|server| server.after_3s_kib)?,
        outcome.of_server(|server| server.after_10s_kib)?,
    ];
    let live = match outcome.of_server(|server| server.live_kib)? {
        ..103.0 => String::new(),
        live => format!(" + {:.1}", live / 1024.0),
    };
    Some(stages.map(|kib| format!("{:.1}", kib / 1024.0)).join(" → ") + &live)
}

fn above_live(outcome: &Outcome) -> Option<String> {
    let (above, allowed) = outcome.above_live_kib()?;
    let mark = if above > allowed { "!" } else { "" };
    Some(format!("{:.1} of {:.1}{mark}", above / 1024.0, allowed / 1024.0))
}

/// What the comparison of memory says beside sizes: the price, and rows with figures of their own.
fn print_costs(results: &Results) {
    println!("Page faults, system time");
    println!("{}", cells_table(results, |_| true, kernel_work));
    let print_some = |title: &str, cell: fn(&Outcome) -> Option<String>| {
        let has = |row: &Row| row.outcomes.iter().any(|outcome| cell(outcome).is_some());
        if results.rows.iter().any(has) {
            println!("{title}");
            println!("{}", cells_table(results, has, cell));
        }
    };
    print_some("System calls for each hundred operations", |outcome| {
        Some(format!("{:.2}", outcome.calls_per_hundred()?))
    });
    print_some("Resident over live memory, through simulated time: mean, highest", drift);
    let address_space = |outcome: &Outcome| {
        let kib = outcome.median(|run| run.address_space_kib as f64).filter(|kib| *kib > 0.0)?;
        Some(mebibytes(kib))
    };
    print_some("Address space at its largest in MiB", address_space);
}

/// Page faults and system time of the timed part.
pub fn kernel_work(outcome: &Outcome) -> Option<String> {
    let faults = outcome.median(|run| run.page_faults as f64)?;
    Some(format!("{faults:.0}, {:.1} ms", outcome.median(|run| run.system_ns as f64)? / 1e6))
}

fn drift(outcome: &Outcome) -> Option<String> {
    let values: Vec<f64> = outcome.drift().into_iter().map(|(_, value)| value).collect();
    let highest = values.iter().copied().max_by(f64::total_cmp)?;
    Some(format!("×{:.2}, ×{highest:.2}", values.iter().sum::<f64>() / values.len() as f64))
}

/// What is left above the start, stage by stage; a stage that was left out before others is a dash.
pub fn freed(outcome: &Outcome) -> Option<String> {
    let start = outcome.median(|run| run.rss_start_kib as f64)?;
    let stages = [outcome.median(|run| run.rss_freed_kib as f64), outcome.idle_kib(), outcome.trimmed_kib()];
    let last = stages.iter().rposition(Option::is_some)?;
    let text = |stage: &Option<f64>| {
        stage.map_or("–".to_owned(), |kib| match (kib - start) / 1024.0 {
            above @ ..100.0 => format!("{above:.1}"),
            above => format!("{above:.0}"),
        })
    };
    Some(stages[..=last].iter().map(text).collect::<Vec<_>>().join(" → "))
}

/// Memory in MiB, with as many digits as matter.
pub fn mebibytes(kib: f64) -> String {
    let digits = match kib.abs() / 1024.0 {
        ..10.0 => 2,
        ..1000.0 => 1,
        _ => 0,
    };
    format!("{:.digits$}", kib / 1024.0)
}

/// A table of the rows that are wanted, with a text for each candidate.
fn cells_table(results: &Results, wanted: impl Fn(&Row) -> bool, cell: impl Fn(&Outcome) -> Option<String>) -> Table {
    let mut table = new_table(results);
    for row in results.rows.iter().filter(|row| wanted(row)) {
        let mut cells = vec![Cell::new(row.title())];
        cells.extend(row.outcomes.iter().map(|outcome| cell(outcome).map_or_else(|| no_figure(outcome), Cell::new)));
        table.add_row(cells);
    }
    align(&mut table);
    table
}

fn time_table(results: &Results) -> Table {
    let subject = results.candidates.iter().position(|candidate| candidate.name == SUBJECT);
    let subject = subject.filter(|_| results.candidates.len() > 1);
    let mut table = new_table(results);
    if subject.is_some() {
        let mut header = header(results);
        header.push(Cell::new(format!("{SUBJECT} / best other")));
        table.set_header(header);
    }
    let median_time = |outcome: &Outcome| outcome.times(results.clock).map(|times| median(&times));
    let mut ratios = vec![Vec::new(); results.candidates.len()];
    let mut standings = Vec::new();
    for row in &results.rows {
        let best = results.best(row, median_time);
        let ceiling = results.ceiling(row);
        let mut cells = vec![Cell::new(row.title())];
        for (index, outcome) in row.outcomes.iter().enumerate() {
            let (Some(times), Some(best)) = (outcome.times(results.clock), best) else {
                cells.push(no_figure(outcome));
                continue;
            };
            if results.candidates[index].is_ceiling() {
                cells.push(Cell::new(duration(median(&times))));
                continue;
            }
            let best_times = row.outcomes[best].times(results.clock).expect("the best has times");
            let ratio = Ratio::of(&times, &best_times);
            ratios[index].push(ratio.value);
            let mark = if outcome.disturbed > 0 && results.clock == Clock::Wall { "!" } else { "" };
            let tie = if index != best && ratio.is_tie() { "≈" } else { "" };
            let time = median(&times);
            let share = ceiling.map_or(String::new(), |ceiling| format!(" {:.0}%", ceiling / time * 100.0));
            let cell = Cell::new(format!("{}{mark} {tie}×{:.2}{share}", duration(time), ratio.value));
            cells.push(if index == best { cell.add_attribute(Attribute::Bold) } else { cell });
        }
        if let Some(standing) = subject.and_then(|subject| against_best_other(results, row, subject)) {
            standings.push(standing.value);
            cells.push(Cell::new(format!("{standing} {}", standing.verdict(["wins", "tie", "loses"]))));
        }
        table.add_row(cells);
    }
    let mut means = vec![Cell::new("geometric mean")];
    means.extend(ratios.iter().map(|ratios| mean_cell(ratios, results.rows.len())));
    if subject.is_some() {
        means.push(mean_cell(&standings, results.rows.len()));
    }
    table.add_row(means);
    align(&mut table);
    table
}

/// The subject's time over that of the fastest other candidate.
fn against_best_other(results: &Results, row: &Row, subject: usize) -> Option<Ratio> {
    let times = row.outcomes[subject].times(results.clock)?;
    let others = row.outcomes.iter().enumerate();
    let others = others.filter(|(index, _)| *index != subject && !results.candidates[*index].is_ceiling());
    let others = others.filter_map(|(_, outcome)| outcome.times(results.clock));
    let best = others.min_by(|one, other| median(one).total_cmp(&median(other)))?;
    Some(Ratio::of(&times, &best))
}

fn memory_table(results: &Results, figure: impl Fn(&Measurement) -> f64) -> Table {
    let mut table = new_table(results);
    let mut ratios = vec![Vec::new(); results.candidates.len()];
    for row in &results.rows {
        let best = results.best(row, |outcome| outcome.median(&figure));
        let smallest = best.and_then(|best| row.outcomes[best].median(&figure));
        let mut cells = vec![Cell::new(row.title())];
        for (index, outcome) in row.outcomes.iter().enumerate() {
            let (Some(kib), Some(smallest)) = (outcome.median(&figure), smallest) else {
                cells.push(no_figure(outcome));
                continue;
            };
            if results.candidates[index].is_ceiling() {
                cells.push(Cell::new(mebibytes(kib)));
                continue;
            }
            ratios[index].push(kib / smallest);
            let cell = Cell::new(format!("{} ×{:.2}", mebibytes(kib), kib / smallest));
            cells.push(if Some(index) == best { cell.add_attribute(Attribute::Bold) } else { cell });
        }
        table.add_row(cells);
    }
    let mut means = vec![Cell::new("geometric mean")];
    means.extend(ratios.iter().map(|ratios| mean_cell(ratios, results.rows.len())));
    table.add_row(means);
    align(&mut table);
    table
}

/// How long single calls took, where that was measured.
fn print_latencies(results: &Results) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["", "allocator", "p50", "p99", "p99.9", "p99.99", "longest"]);
    for row in &results.rows {
        for (candidate, outcome) in results.candidates.iter().zip(&row.outcomes) {
            let Some(latency) = outcome.latency() else { continue };
            let figures = [latency.p50, latency.p99, latency.p99_9, latency.p99_99, latency.max];
            let mut cells = vec![Cell::new(row.title()), Cell::new(&candidate.name)];
            cells.extend(figures.map(|figure| Cell::new(duration(figure))));
            table.add_row(cells);
        }
    }
    if table.row_count() > 0 {
        println!("Time of single calls, median over the rounds");
        align(&mut table);
        println!("{table}");
    }
}

/// A time in the unit that suits it.
pub fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ..1e4 => (nanoseconds, "ns"),
        ..1e7 => (nanoseconds / 1e3, "µs"),
        ..1e10 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let digits = if value < 100.0 { 2 } else { 0 };
    format!("{value:.digits$} {unit}")
}

/// What stands for a figure that is not there.
fn no_figure(outcome: &Outcome) -> Cell {
    Cell::new(if outcome.failure.is_some() { "failed" } else { "-" })
}

/// Every figure of every candidate, one line each.
fn details_table(results: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "row",
        "allocator",
        "M op/s",
        "wall ms",
        "CPU ms",
        "system ms",
        "faults",
        "waited ms",
        "start KiB",
        "peak KiB",
        "freed KiB",
        "idle KiB",
    ]);
    for row in &results.rows {
        for (candidate, outcome) in results.candidates.iter().zip(&row.outcomes) {
            let number = |figure: &dyn Fn(&Measurement) -> f64, digits: usize| {
                let value = outcome.median(figure);
                value.map_or_else(|| no_figure(outcome), |value| Cell::new(format!("{value:.digits$}")))
            };
            table.add_row([
                Cell::new(row.title()),
                Cell::new(&candidate.name),
                number(&|run| run.operations as f64 * 1e3 / run.wall_ns as f64, 1),
                number(&|run| run.wall_ns as f64 / 1e6, 1),
                number(&|run| run.cpu_ns as f64 / 1e6, 1),
                number(&|run| run.system_ns as f64 / 1e6, 1),
                number(&|run| run.page_faults as f64, 0),
                number(&|run| run.waited_ns as f64 / 1e6, 1),
                number(&|run| run.rss_start_kib as f64, 0),
                number(&|run| run.rss_peak_kib as f64, 0),
                number(&|run| run.rss_freed_kib as f64, 0),
                Cell::new(outcome.idle_kib().map_or("-".to_owned(), |kib| format!("{kib:.0}"))),
            ]);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What the tables only hint at: failures, disturbed runs, versions.
fn print_notes(results: &Results) {
    for candidate in &results.candidates {
        let library = candidate.library.as_ref().map(|path| format!(" ({})", path.display())).unwrap_or_default();
        let version = if candidate.is_ceiling() { "part of this command" } else { &candidate.version };
        println!("{:18} {version}{library}", candidate.name);
    }
    for row in &results.rows {
        for (candidate, outcome) in results.candidates.iter().zip(&row.outcomes) {
            if let Some(failure) = &outcome.failure {
                println!("{} in {}: {failure}", candidate.name, row.title());
            }
        }
    }
    let disturbed: usize = results.rows.iter().flat_map(|row| &row.outcomes).map(|outcome| outcome.disturbed).sum();
    if disturbed > 0 && results.clock == Clock::Wall {
        println!("{disturbed} runs (rows marked !) waited for a CPU: other load; on a busy machine compare `--by cpu`");
    }
}

fn header(results: &Results) -> Vec<Cell> {
    let mut cells = vec![Cell::new("")];
    cells.extend(results.candidates.iter().map(|candidate| Cell::new(&candidate.name)));
    cells
}

fn new_table(results: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header(results));
    table
}

/// The geometric mean over all rows; a candidate that failed in one has none.
fn mean_cell(ratios: &[f64], rows: usize) -> Cell {
    let complete = ratios.len() == rows && rows > 0;
    Cell::new(if complete { format!("×{:.3}", geometric_mean(ratios)) } else { "-".to_owned() })
}

fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
