//! `hakmem run`: puts the library in front and becomes the program, so that signals, standard streams and the exit
//! status are the program's own.

use crate::{library, settings};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Exit statuses of our own, as `env` and `nohup` have them: this command failed, the program cannot be run, there is
/// no such program.
const FAILED: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Run a program on HAKMEM.
#[derive(clap::Args)]
#[command(override_usage = "hakmem run [OPTIONS] -- <PROGRAM> [ARGUMENTS]...")]
pub struct Args {
    /// Print the allocator's statistics to standard error when the program exits
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    stats: Option<Format>,

    /// Change one setting; `hakmem options` lists them all
    #[arg(long, value_name = "NAME=VALUE", value_parser = settings::parse_assignment)]
    set: Vec<settings::Assignment>,

    /// Use a named set of settings; --set overrides it
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(settings::profile_names()))]
    profile: Option<String>,

    /// Run on this library instead of the libhakmem.so beside this command or in ../lib
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,

    /// The program, by path or by name
    program: OsString,

    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Returns only if the program could not be started.
pub fn run(args: Args) -> ExitCode {
    let library = match library::find(args.library.as_deref()) {
        Ok(library) => library,
        Err(error) => {
            eprintln!("hakmem: {error:#}");
            return ExitCode::from(FAILED);
        }
    };
    let mut program = Command::new(&args.program);
    program.args(&args.arguments).env(library::PRELOAD, library::preload(&library));
    if let Some(profile) = &args.profile {
        program.env("HAKMEM_PROFILE", profile);
    }
    match args.stats {
        Some(Format::Table) => program.env("HAKMEM_STATS", "1"),
        Some(Format::Json) => program.env("HAKMEM_STATS", "json"),
        None => &mut program,
    };
    program.envs(args.set.iter().map(|setting| (setting.variable, &setting.value)));
    refuse(&args.program, &program.exec())
}

fn refuse(program: &OsString, error: &io::Error) -> ExitCode {
    let program = program.to_string_lossy();
    let (status, why) = match error.kind() {
        ErrorKind::NotFound if program.contains('/') => {
            (NOT_FOUND, "no such file, or the interpreter it names is missing")
        }
        ErrorKind::NotFound => (NOT_FOUND, "no program of that name in PATH"),
        ErrorKind::PermissionDenied => (CANNOT_RUN, "not an executable file; `chmod +x` makes it one"),
        _ => (CANNOT_RUN, "cannot be run"),
    };
    eprintln!("hakmem: {program}: {why} ({error})");
    ExitCode::from(status)
}
