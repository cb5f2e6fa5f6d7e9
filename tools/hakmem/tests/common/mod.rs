//! What the tests of the command share: the command, the library, scratch directories, small programs in C.
#![allow(dead_code)] // Each test file is a program of its own and uses a part of this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The command under test.
pub const HAKMEM: &str = env!("CARGO_BIN_EXE_hakmem");

/// The library as the release build leaves it.
pub fn library() -> PathBuf {
    let target = Path::new(HAKMEM).ancestors().nth(2).expect("the command is in target/<profile>");
    let library = target.join("release/libhakmem.so");
    assert!(library.is_file(), "{} is not there: `cargo build --release` builds it", library.display());
    library.canonicalize().expect("the library's own path")
}

/// The command with this subcommand, on the library of the release build, in an environment without settings.
pub fn hakmem(subcommand: &str) -> Command {
    let mut command = plain(HAKMEM, subcommand);
    command.arg("--library").arg(library());
    command
}

/// Any copy of the command with this subcommand, in an environment without settings.
pub fn plain(command: impl AsRef<Path>, subcommand: &str) -> Command {
    let mut command = Command::new(command.as_ref());
    command.arg(subcommand).env_remove("LD_PRELOAD");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("HAKMEM_") {
            command.env_remove(variable);
        }
    }
    command
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Output {
    command.output().expect("the command starts")
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An empty directory for the test called `name`.
pub fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a scratch directory");
    directory
}

/// Compiles `source` to `directory/name`.
pub fn compile(directory: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (code, program) = (directory.join(format!("{name}.c")), directory.join(name));
    fs::write(&code, source).expect("the source is written");
    let output = run(Command::new("cc").arg(&code).arg("-o").arg(&program).args(flags));
    assert!(output.status.success(), "cc {flags:?}: {}", stderr(&output));
    program
}
