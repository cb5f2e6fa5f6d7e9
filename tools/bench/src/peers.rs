//! Builds the peers from source, one after another, each in its own folder, whose settings hold for it alone.

use crate::candidates::{PEERS, peer_library, peers_target, project_root};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// Builds all peers; those that fail are reported with the end of their output, and the rest goes on.
pub fn build_all() -> Result<ExitCode> {
    let root = project_root()?;
    let mut failed = Vec::new();
    for (index, name) in PEERS.iter().enumerate() {
        let began = Instant::now();
        let bar = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{prefix} {spinner} {elapsed} {msg}").expect("the template is well formed"),
        );
        bar.set_prefix(format!("{}/{} {name}", index + 1, PEERS.len()));
        bar.enable_steady_tick(Duration::from_millis(200));
        let output = build(&root, name, &bar)?;
        bar.finish_and_clear();
        match output {
            Ok(()) => println!("{name:10} {} ({:.0?})", peer_library(name)?.display(), began.elapsed()),
            Err(lines) => {
                println!("{name:10} could not be built:\n    {}", lines.join("\n    "));
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("Not built: {}. The others can be compared without them.", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Builds one peer, with cargo's last line as its progress; the inner error is the end of what cargo said.
fn build(root: &Path, name: &str, bar: &ProgressBar) -> Result<Result<(), Vec<String>>> {
    // Cargo reads a peer's settings from the folder it runs in. The profile asks for no debug information and none may
    // come from outside: snmalloc and others would be built with assertions.
    let mut cargo = Command::new("cargo")
        .args(["build", "--release", "--locked", "--target-dir"])
        .arg(peers_target(root))
        .current_dir(root.join("peers").join(name))
        .env_remove("CARGO_PROFILE_RELEASE_DEBUG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cargo, which builds the peers, cannot be started")?;
    let mut lines = Vec::new();
    for line in BufReader::new(cargo.stderr.take().expect("stderr is piped")).lines() {
        let line = line.context("cargo's output cannot be read")?;
        bar.set_message(line.trim().to_owned());
        lines.push(line);
    }
    if cargo.wait().context("cargo cannot be waited for")?.success() {
        return Ok(Ok(()));
    }
    Ok(Err(lines.split_off(lines.len().saturating_sub(25))))
}
