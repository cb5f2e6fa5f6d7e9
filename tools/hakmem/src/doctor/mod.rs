//! `hakmem doctor`: will this program really run on HAKMEM here? One line a finding.

mod elf;
mod loader;
mod machine;
mod privileges;
mod program;
mod script;
mod signs;

use crate::{library, probe, settings};
use anyhow::{Context, Result};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Check whether a program will run on HAKMEM on this machine; the exit status is 0 if it will, 1 if not.
#[derive(clap::Args)]
pub struct Args {
    /// Check this library instead of the libhakmem.so beside this command or in ../lib
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,

    /// The program, by path or by name; without it only the machine and the library are checked
    program: Option<PathBuf>,
}

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing; the program runs on HAKMEM all the same.
    Note,
    /// The program, or a part of it, will not run on HAKMEM.
    Problem,
}

/// One line of the report.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    text: String,
}

impl Finding {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Ok, subject, text: text.into() }
    }

    fn note(subject: &'static str, text: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Note, subject, text: text.into() }
    }

    fn problem(subject: &'static str, text: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Problem, subject, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, line: &mut fmt::Formatter) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "problem",
        };
        write!(line, "{verdict:8} {:14} {}", self.subject, self.text)
    }
}

/// Prints all findings.
pub fn run(args: Args) -> Result<ExitCode> {
    let library = library::find(args.library.as_deref())?;
    let mut findings = machine::examine();
    findings.extend(settings::refused_in_environment().into_iter().map(|text| Finding::note("environment", text)));
    findings.push(prove(&library)?);
    if let Some(program) = &args.program {
        findings.extend(program::examine(program, &library));
    }

    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let problems = findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count();
    let who = args.program.as_deref().unwrap_or(Path::new("a program")).display().to_string();
    if problems == 0 {
        writeln!(out, "{who} will run on HAKMEM")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{who} will not run on HAKMEM as things are; problems found: {problems}")?;
    Ok(ExitCode::FAILURE)
}

/// Runs this command under the preload and asks it where its `malloc` came from.
fn prove(library: &Path) -> Result<Finding> {
    const SUBJECT: &str = "proof";
    let child = Command::new("/proc/self/exe")
        .arg(probe::NAME)
        .env(library::PRELOAD, library::preload(library))
        .output()
        .context("running a child under the preload")?;
    let found = String::from_utf8_lossy(&child.stdout).trim().to_owned();
    if child.status.success() && Path::new(&found) == library {
        return Ok(Finding::ok(SUBJECT, format!("malloc of a child run under the preload is in {found}")));
    }
    let said = String::from_utf8_lossy(&child.stderr).trim().replace('\n', "; ");
    Ok(Finding::problem(
        SUBJECT,
        format!(
            "a child run under the preload found its malloc in `{found}`, not in {} ({}{}{said}); rebuild the library on this machine",
            library.display(),
            child.status,
            if said.is_empty() { "" } else { ": " },
        ),
    ))
}

/// A fresh directory for a test of this package.
#[cfg(test)]
fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("hakmem-doctor-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
