//! From the name a user types to the file the kernel runs: PATH, then `#!` lines.

use anyhow::{Context, Result, ensure};
use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// As many scripts as the kernel follows from one to the next.
const DEEPEST: usize = 5;
/// As much of a script as the kernel looks at.
const FIRST_LINE: u64 = 256;

/// The file that `name` means to a shell: a path as it is, a plain name by way of PATH.
pub fn locate(name: &Path) -> Result<PathBuf> {
    if name.components().count() > 1 || name.is_absolute() {
        ensure!(name.is_file(), "no such file");
        ensure!(is_executable(name), "not an executable file; `chmod +x` makes it one");
        return Ok(name.to_path_buf());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
        .context("no program of that name in PATH")
}

/// The files run in turn, from `program` itself to the one that is not a script.
pub fn follow(program: PathBuf) -> Result<Vec<PathBuf>> {
    let mut chain = vec![program];
    while let Some(next) = interpreter(&chain[chain.len() - 1])? {
        ensure!(chain.len() <= DEEPEST, "more than {DEEPEST} interpreters, one behind the other");
        chain.push(next);
    }
    Ok(chain)
}

/// What runs `script`, if it starts with `#!`. `env` is looked through, as it runs what its argument names.
fn interpreter(script: &Path) -> Result<Option<PathBuf>> {
    let mut start = Vec::new();
    File::open(script)
        .and_then(|file| file.take(FIRST_LINE).read_to_end(&mut start))
        .with_context(|| format!("{} cannot be read", script.display()))?;
    let text = String::from_utf8_lossy(&start);
    let Some(line) = text.strip_prefix("#!").and_then(|rest| rest.lines().next()) else {
        return Ok(None);
    };
    let mut words = line.split_whitespace();
    let first = Path::new(words.next().context("a script whose #! line names nothing")?);
    let missing = || format!("the interpreter {line} of {} is missing", script.display());
    let first = locate(first).with_context(missing)?;
    if first.file_name().is_some_and(|name| name == "env")
        && let Some(named) = words.find(|word| !word.starts_with('-') && !word.contains('='))
    {
        return locate(Path::new(named)).with_context(missing).map(Some);
    }
    Ok(Some(first))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
