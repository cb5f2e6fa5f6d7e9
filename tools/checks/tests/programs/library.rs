//! Makes a process run on the library under test, and proves that it did.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// A library to be preloaded.
pub struct Library {
    path: &'static Path,
}

impl Library {
    /// Finds the library; panics with what to do if there is none.
    pub fn locate() -> Library {
        Library { path: &hakmem_checks::library().shared }
    }

    /// The environment in which a process runs on the library and records this in the file `records`. Settings that are
    /// given to the tests (`HAKMEM_PROFILE`, say) are passed on, so that all programs can be run with every profile.
    pub fn environment(&self, records: &Path) -> Vec<(OsString, OsString)> {
        let ours = |name: &OsString| name.to_string_lossy().starts_with("HAKMEM_") && name != "HAKMEM_LIB";
        let mut environment: Vec<_> = std::env::vars_os().filter(|(name, _)| ours(name)).collect();
        environment.push(("LD_PRELOAD".into(), self.path.into()));
        if self.keeps_records() {
            environment.push(("HAKMEM_STATS".into(), "json".into()));
            environment.push(("HAKMEM_STATS_FILE".into(), records.into()));
        }
        environment
    }

    /// Checks that `process`, a run of `program`, got its memory from the library.
    pub fn prove(&self, process: u32, program: &Path, records: &Path) -> Result<(), String> {
        if self.keeps_records() { counted(process, records) } else { self.listed_by_loader(program) }
    }

    fn keeps_records(&self) -> bool {
        self.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libhakmem"))
    }

    /// For libraries that keep no records: the loader lists what it would load for the program.
    fn listed_by_loader(&self, program: &Path) -> Result<(), String> {
        let listing = Command::new(program)
            .env("LD_PRELOAD", self.path)
            .env("LD_TRACE_LOADED_OBJECTS", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let listed = String::from_utf8_lossy(&listing.stdout).contains(&*self.path.to_string_lossy());
        listed.then_some(()).ok_or_else(|| format!("the loader does not load {} for it", self.path.display()))
    }
}

/// Looks for the record of `process`, which must have allocated, and checks that every record in the file is in order.
fn counted(process: u32, records: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(records).map_err(|error| format!("no statistics at its exit: {error}"))?;
    let mut found = false;
    for record in text.lines() {
        let broken = |name: &str| format!("a record of statistics without a number {name}: {record}");
        let number = |name: &str| number(record, name).ok_or_else(|| broken(name));
        let (allocations, frees) = (number("allocations")?, number("frees")?);
        if frees > allocations {
            return Err(format!("{frees} frees of {allocations} allocations: {record}"));
        }
        found |= number("pid")? == u64::from(process) && allocations > 0;
    }
    found.then_some(()).ok_or_else(|| format!("process {process} left no record with allocations; records:\n{text}"))
}

/// The first number called `name` in one line of JSON. Totals come before the classes, so it is the total.
fn number(record: &str, name: &str) -> Option<u64> {
    let (_, after) = record.split_once(&format!("\"{name}\":"))?;
    let after = after.trim_start();
    let end = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}
