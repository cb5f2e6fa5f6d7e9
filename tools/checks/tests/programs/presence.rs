//! Finds out which programs are installed. A missing program is a failure in CI and a visible skip elsewhere.
//!
//! # Safety
//! One call of C's `atexit`, with a function that stays loaded.

use std::collections::BTreeSet;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The tests that were left out in this run, each with the program that is missing: the summary at exit lists them.
static SKIPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// A file or folder of `tests/preload`, where the inputs of these tests live.
pub fn input(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/preload").join(name);
    path.canonicalize().unwrap_or_else(|error| panic!("tests/preload/{name}: {error}"))
}

/// Where a program lives according to `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// True if all of `programs` are installed. Otherwise `test` is left out with a message, or, under CI, fails.
pub fn all_there(test: &str, programs: &[&str]) -> bool {
    let table = std::fs::read_to_string(input("programs.txt")).expect("the table of programs is readable");
    for program in programs {
        assert!(
            table.lines().any(|row| row.split_whitespace().next() == Some(program)),
            "{program} has no row in tests/preload/programs.txt, so scripts/install-programs would not bring it"
        );
    }
    let Some(missing) = programs.iter().find(|program| find(program).is_none()) else { return true };
    assert!(
        std::env::var_os("CI").is_none(),
        "{missing} is not installed, and with CI set nothing is skipped; scripts/install-programs brings it"
    );
    skip(test, missing);
    false
}

/// Prints at once that a test is left out, and again at the end of the run.
fn skip(test: &str, missing: &str) {
    // Written to the handle itself: the test harness captures only the output of the print macros.
    let _ = writeln!(stderr(), "SKIP: {missing} is not installed; scripts/install-programs brings it (test {test})");
    let mut skipped = SKIPPED.lock().expect("no test panics while it holds the list");
    if skipped.is_empty() {
        // SAFETY: `summary` is a function with C's calling convention that stays loaded until the process ends.
        let refused = unsafe { atexit(summary) };
        assert_eq!(refused, 0, "atexit took no handler");
    }
    skipped.insert(format!("{test} ({missing})"));
}

/// The last lines of a run in which something was skipped.
extern "C" fn summary() {
    if let Ok(skipped) = SKIPPED.lock() {
        let names: Vec<&str> = skipped.iter().map(String::as_str).collect();
        let _ = writeln!(stderr(), "\nSKIPPED for want of a program: {}\n", names.join(", "));
    }
}
