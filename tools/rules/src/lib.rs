//! What the tests of this crate are made of: the source tree as tokens, the rules over them, and the fast path of a
//! built library, as it stands in the file and as it runs.

pub mod code;
pub mod crates;
pub mod documents;
pub mod entries;
pub mod golden;
pub mod layers;
pub mod methods;
pub mod path;
pub mod purity;
pub mod source;
pub mod trace;
pub mod tree;
pub mod uses;

use std::fmt;
use std::path::PathBuf;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Breach {
    /// The file, relative to the workspace's root.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// Fails the calling test with one line per breach.
#[track_caller]
pub fn expect_none(rule: &str, breaches: &[Breach]) {
    let lines: String = breaches.iter().map(|breach| format!("\n  {breach}")).collect();
    assert!(breaches.is_empty(), "{rule}{lines}");
}
