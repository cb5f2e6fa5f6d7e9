//! `hakmem options` and the operator's page hold every row of the table of settings.

mod common;

use common::{HAKMEM, plain, run, stdout};
use hakmem_core::policy::{NUMBERS, PROFILES, SWITCHES};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The cells of every table row, without the padding, which changes with the widest cell.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-")).map(cells).collect()
}

#[test]
fn the_tables_hold_every_row() {
    let rows = rows(&stdout(&run(&mut plain(HAKMEM, "options"))));
    let find = |name: &str| rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row for {name}"));
    for number in NUMBERS {
        let row = find(number.name);
        assert_eq!((row[1].as_str(), row[5].as_str(), row[6].as_str()), (number.env, number.unit, number.doc));
    }
    for switch in SWITCHES {
        let row = find(switch.name);
        assert_eq!((row[1].as_str(), row[4].as_str()), (switch.env, switch.doc));
    }
    for profile in PROFILES {
        assert_eq!(rows.iter().filter(|row| row[0] == profile.name && row[2] == profile.doc).count(), 1);
    }
}

#[test]
fn json_holds_every_row_with_its_bounds() {
    let output = run(plain(HAKMEM, "options").arg("--json"));
    let options: Value = serde_json::from_slice(&output.stdout).expect("valid JSON");
    for (index, number) in NUMBERS.iter().enumerate() {
        let row = &options["numbers"][index];
        assert_eq!(row["name"], number.name);
        assert_eq!(row["variable"], number.env);
        assert_eq!([&row["default"], &row["min"], &row["max"]], [number.default, number.min, number.max]);
    }
    for (index, switch) in SWITCHES.iter().enumerate() {
        assert_eq!(options["switches"][index]["name"], switch.name);
        assert_eq!(options["switches"][index]["accepts"], switch.accepts);
    }
    for (index, profile) in PROFILES.iter().enumerate() {
        let row = &options["profiles"][index];
        assert_eq!(row["name"], profile.name);
        for (name, value) in profile.values {
            assert_eq!(row["values"][name], *value);
        }
    }
}

#[test]
fn the_operators_page_has_the_same_tables() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = fs::read_to_string(&page).expect("docs/settings.md");
    let printed = stdout(&run(&mut plain(HAKMEM, "options")));
    let (printed_rows, page_rows) = (rows(&printed), rows(&page));
    let missing = |from: &[Vec<String>], of: &[Vec<String>]| -> Vec<_> {
        of.iter().filter(|row| !from.contains(row)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        missing(&page_rows, &printed_rows),
        [[""; 0]; 0],
        "not in docs/settings.md; paste what `hakmem options` prints:\n{printed}"
    );
    let settings = |row: &&Vec<String>| row.get(1).is_some_and(|variable| variable.starts_with("HAKMEM_"));
    let stale: Vec<_> = page_rows.iter().filter(settings).filter(|row| !printed_rows.contains(row)).collect();
    assert!(stale.is_empty(), "in docs/settings.md, but no longer a setting: {stale:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let output =
        run(std::process::Command::new("sh").arg("-c").arg(format!("{{ {HAKMEM} options; echo $? >&2; }} | true")));
    let said = common::stderr(&output);
    assert_eq!(said.trim(), "0");
}
