//! `hakmem options`: the table of settings and profiles, for people and for programs.

use crate::settings::{format_number, words};
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use hakmem_core::policy::{NUMBERS, PROFILES, SWITCHES};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// List every setting with its bounds, and the profiles.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// Prints the settings.
pub fn run(args: Args) -> Result<ExitCode> {
    let text = if args.json { as_json() } else { as_tables() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Tables in Markdown, so that the operator's page can hold them as they are printed.
fn as_tables() -> String {
    format!(
        "Settings: `hakmem run --set name=value`, or the variable in the environment of any program on HAKMEM.\n\n\
         {}\n\n{}\n\nProfiles: `hakmem run --profile name`.\n\n{}\n",
        numbers(),
        switches(),
        profiles()
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    // Piped, rows stay on one line; on a terminal they are folded to fit.
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout()) {
        table.set_width(size.ws_col);
    }
    table
}

fn numbers() -> Table {
    let mut table = table(&["number", "variable", "default", "from", "to", "unit", "what it does"]);
    for number in NUMBERS {
        let show = |value| format_number(value, number.unit);
        let [default, min, max] = [number.default, number.min, number.max].map(show);
        table.add_row([number.name, number.env, &default, &min, &max, number.unit, number.doc]);
    }
    table
}

fn switches() -> Table {
    let mut table = table(&["switch", "variable", "default", "accepts", "what it does"]);
    for switch in SWITCHES {
        // A bar would end the cell of a Markdown table.
        let accepts = match words(switch) {
            words if words.is_empty() => switch.accepts.to_owned(),
            words => words.join(", "),
        };
        let default = if switch.default.is_empty() { "none" } else { switch.default };
        table.add_row([switch.name, switch.env, default, &accepts, switch.doc]);
    }
    table
}

fn profiles() -> Table {
    let mut table = table(&["profile", "changes", "what it is for"]);
    for profile in PROFILES {
        let changes: Vec<String> = profile.values.iter().map(|(name, value)| show_change(name, *value)).collect();
        let changes = if changes.is_empty() { "nothing".to_owned() } else { changes.join(", ") };
        table.add_row([profile.name, &changes, profile.doc]);
    }
    table
}

fn show_change(name: &str, value: usize) -> String {
    let unit = NUMBERS.iter().find(|number| number.name == name).map_or("", |number| number.unit);
    format!("{name}={}", format_number(value, unit))
}

fn as_json() -> String {
    let numbers: Vec<Value> = NUMBERS
        .iter()
        .map(|number| {
            json!({
                "name": number.name, "variable": number.env, "default": number.default,
                "min": number.min, "max": number.max, "unit": number.unit, "doc": number.doc,
            })
        })
        .collect();
    let switches: Vec<Value> = SWITCHES
        .iter()
        .map(|switch| {
            json!({
                "name": switch.name, "variable": switch.env, "default": switch.default,
                "accepts": switch.accepts, "doc": switch.doc,
            })
        })
        .collect();
    let profiles: Vec<Value> = PROFILES
        .iter()
        .map(|profile| {
            let values: Map<String, Value> =
                profile.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            json!({ "name": profile.name, "doc": profile.doc, "values": values })
        })
        .collect();
    format!("{:#}\n", json!({ "numbers": numbers, "switches": switches, "profiles": profiles }))
}
