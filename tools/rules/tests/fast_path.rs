//! The fast paths of the built library, and of a Rust program, against their golden files: they may not grow, call, lock or use the stack.

use std::env;
use std::fs;
use std::path::PathBuf;

use hakmem_rules::code::Code;
use hakmem_rules::entries::{Built, ENTRIES, Entry, LIBRARY, RUST_ENTRIES, RUST_PROGRAM};
use hakmem_rules::golden::{BLESS, Golden};
use hakmem_rules::path::fast_path;
use hakmem_rules::tree;

fn golden_file(symbol: &str) -> PathBuf {
    tree::root().join("tests/golden").join(symbol).with_extension("txt")
}

fn problem(code: &Code, entry: &Entry) -> Option<String> {
    let Entry { symbol, goal, limit, .. } = entry;
    let file = golden_file(symbol);
    let bless = env::var_os("BLESS").is_some_and(|value| value == "1");
    let golden = match fs::read_to_string(&file) {
        Ok(text) => match Golden::parse(&text) {
            Ok(golden) => golden,
            Err(problem) => return Some(format!("{}: {problem}", file.display())),
        },
        Err(_) if bless => Golden::default(),
        Err(error) => return Some(format!("{}: {error}; write it with: {BLESS}", file.display())),
    };
    let Some(address) = code.symbol(symbol) else { return Some(format!("there is no function {symbol}")) };
    let Some(way) = fast_path(code, address, &golden.jumps, *goal) else {
        return Some(format!("no way through {symbol} does what it is for within the function"));
    };
    let golden = if bless { golden.with(&way) } else { golden };
    if bless {
        fs::write(&file, golden.print(symbol)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    golden.problem(symbol, &way, limit.map(|limit| golden.limit(limit)))
}

fn expect_fast(built: &Built, entries: &[Entry]) {
    let code = built.path().and_then(|path| Code::read(&path)).unwrap_or_else(|problem| panic!("{problem}"));
    let problems: Vec<String> = entries.iter().filter_map(|entry| problem(&code, entry)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn fast_paths_of_the_c_face_are_as_short_as_their_golden_files() {
    expect_fast(&LIBRARY, &ENTRIES);
}

#[test]
fn fast_paths_of_the_rust_face_are_as_short_as_their_golden_files() {
    expect_fast(&RUST_PROGRAM, &RUST_ENTRIES);
}

#[test]
fn every_golden_file_belongs_to_a_function_that_is_checked() {
    let folder = fs::read_dir(tree::root().join("tests/golden")).expect("tests/golden is a folder");
    let checked: Vec<PathBuf> = ENTRIES.iter().chain(&RUST_ENTRIES).map(|entry| golden_file(entry.symbol)).collect();
    for file in folder.map(|entry| entry.expect("a readable folder entry").path()) {
        assert!(checked.contains(&file), "{} is checked by nothing", file.display());
    }
}
