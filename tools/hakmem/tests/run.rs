//! `hakmem run`: the library in front, the settings in the environment, and otherwise the program itself.

mod common;

use common::{HAKMEM, hakmem, library, plain, run, scratch, stderr, stdout};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A copy of the command in `directory`, away from any library.
fn install(directory: &Path) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let command = directory.join("hakmem");
    fs::copy(HAKMEM, &command).unwrap();
    command
}

fn preload_of(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).trim().to_owned()
}

const SHOW_PRELOAD: [&str; 4] = ["--", "sh", "-c", "echo \"$LD_PRELOAD\""];

#[test]
fn malloc_of_the_program_is_the_librarys() {
    let output = run(hakmem("run").args(["--", HAKMEM, "malloc-is-in"]));
    assert_eq!(preload_of(&output), library().to_str().unwrap());
}

#[test]
fn the_library_is_found_beside_the_command() {
    let bin = scratch("beside");
    let command = install(&bin);
    fs::copy(library(), bin.join("libhakmem.so")).unwrap();
    let output = run(plain(command, "run").args(SHOW_PRELOAD));
    assert_eq!(preload_of(&output), bin.join("libhakmem.so").to_str().unwrap());
}

#[test]
fn the_library_is_found_in_lib_next_to_the_commands_directory() {
    let prefix = scratch("prefix");
    let command = install(&prefix.join("bin"));
    fs::create_dir(prefix.join("lib")).unwrap();
    fs::copy(library(), prefix.join("lib/libhakmem.so.0")).unwrap();
    let output = run(plain(command, "run").args(SHOW_PRELOAD));
    assert_eq!(preload_of(&output), prefix.join("lib/libhakmem.so.0").to_str().unwrap());
}

#[test]
fn without_a_library_nothing_runs_and_the_places_are_named() {
    let bin = scratch("lonely");
    let output = run(plain(install(&bin), "run").args(["--", "echo", "ran"]));
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(stdout(&output), "");
    let said = stderr(&output);
    assert!(
        said.contains(bin.to_str().unwrap()) && said.contains("../lib") && said.contains("cargo build --release"),
        "{said}"
    );
}

#[test]
fn a_library_the_linker_cannot_be_told_is_refused() {
    let directory = scratch("with a space");
    fs::copy(library(), directory.join("libhakmem.so")).unwrap();
    let output =
        run(plain(HAKMEM, "run").arg("--library").arg(directory.join("libhakmem.so")).args(["--", "echo", "ran"]));
    assert_eq!(output.status.code(), Some(125));
    assert!(stdout(&output).is_empty() && stderr(&output).contains("space"), "{}", stderr(&output));
}

#[test]
fn what_is_preloaded_already_stays_behind_ours() {
    let output = run(hakmem("run").args(SHOW_PRELOAD).env("LD_PRELOAD", "libm.so.6"));
    assert_eq!(preload_of(&output), format!("{}:libm.so.6", library().display()));
}

#[test]
fn the_exit_status_is_the_programs() {
    for status in [0, 1, 42, 255] {
        let output = run(hakmem("run").args(["--", "sh", "-c", &format!("exit {status}")]));
        assert_eq!(output.status.code(), Some(status));
    }
}

#[test]
fn a_death_by_signal_is_the_programs() {
    let output = run(hakmem("run").args(["--", "sh", "-c", "kill -TERM $$"]));
    assert_eq!(output.status.signal(), Some(15));
}

#[test]
fn the_program_takes_the_place_of_the_command() {
    let child = hakmem("run").args(["--", "sh", "-c", "echo $$"]).stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output).trim(), id.to_string(), "signals sent to the command must reach the program");
}

#[test]
fn arguments_reach_the_program_as_they_are() {
    let odd = std::ffi::OsString::from_vec(vec![b'-', 0xff, b' ']);
    let output = run(hakmem("run").args(["--", "printf", "%s|", "--stats", "--", "-x"]).arg(&odd));
    assert_eq!(OsStr::from_bytes(&output.stdout), OsStr::from_bytes(b"--stats|--|-x|-\xff |"));
    let output = run(hakmem("run").args(["printf", "%s|", "--json"]));
    assert_eq!(stdout(&output), "--json|");
}

#[test]
fn settings_reach_the_program() {
    let settings = ["--profile", "small", "--stats=json", "--set", "decay_ms=50", "--set", "cache_bytes=8K"];
    let output = run(hakmem("run").args(settings).args(["--", "env"]).env("HAKMEM_DECAY_MS", "70").env("KEPT", "yes"));
    let environment = stdout(&output);
    for line in ["HAKMEM_PROFILE=small", "HAKMEM_STATS=json", "HAKMEM_DECAY_MS=50", "HAKMEM_CACHE_BYTES=8K", "KEPT=yes"]
    {
        assert!(environment.lines().any(|found| found == line), "{line} is not in\n{environment}");
    }
}

#[test]
fn statistics_come_at_the_exit_as_table_or_json() {
    let output = run(hakmem("run").args(["--stats", "--", HAKMEM, "malloc-is-in"]));
    assert_eq!(stdout(&output).trim(), library().to_str().unwrap());
    assert!(stderr(&output).contains("allocations"), "no table in `{}`", stderr(&output));

    let file = scratch("stats").join("stats.json");
    let setting = format!("stats_file={}", file.display());
    let output = run(hakmem("run").args(["--stats=json", "--set", &setting, "--", "echo", "hello"]));
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("hello\n", ""));
    let statistics: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(statistics["totals"]["allocations"].as_u64().unwrap() > 0);
}

#[test]
fn statistics_come_from_programs_that_close_standard_error_first() {
    // As all of GNU's small tools do when they exit, to see whether what they said was written.
    let output = run(hakmem("run").args(["--stats", "--", "ls", "/"]));
    assert!(stderr(&output).contains("allocations"), "no table in `{}`", stderr(&output));
}

#[test]
fn a_bad_setting_is_refused_before_anything_runs() {
    let cases = [
        ("decay_ms=7200000", "0 to 3600000 ms"),
        ("cache_blocks=0", "1 to 32768 blocks"),
        ("cache_bytes=80M", "0 to 64M bytes"),
        ("cache_bytes=big", "whole number"),
        ("decay_sm=50", "did you mean `decay_ms`?"),
        ("colour=blue", "hakmem options"),
        ("stats=xml", "0, 1, json"),
        ("profile=tiny", "default, small, throughput"),
        ("decay_ms", "NAME=VALUE"),
    ];
    for (setting, right) in cases {
        let output = run(hakmem("run").args(["--set", setting, "--", "echo", "ran"]));
        assert_eq!(output.status.code(), Some(2), "{setting}");
        assert_eq!(stdout(&output), "", "{setting}");
        assert!(stderr(&output).contains(setting) && stderr(&output).contains(right), "{setting}: {}", stderr(&output));
    }
    let output = run(hakmem("run").args(["--profile", "smal", "--", "echo", "ran"]));
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("'small'"), "{}", stderr(&output));
}

#[test]
fn a_program_that_cannot_run_is_126_and_one_that_is_not_there_127() {
    let directory = scratch("cannot-run");
    let (text, orphan) = (directory.join("text"), directory.join("orphan"));
    fs::write(&text, "no program\n").unwrap();
    fs::write(&orphan, "#!/nonesuch/interpreter\n").unwrap();
    let chmod = run(std::process::Command::new("chmod").arg("+x").arg(&orphan));
    assert!(chmod.status.success());
    let cases = [
        (text.as_os_str(), 126, "chmod +x"),
        (directory.as_os_str(), 126, "not an executable file"),
        (orphan.as_os_str(), 127, "interpreter"),
        (OsStr::new("/nonesuch/program"), 127, "no such file"),
        (OsStr::new("hakmem-nonesuch"), 127, "no program of that name in PATH"),
    ];
    for (program, status, why) in cases {
        let output = run(hakmem("run").arg("--").arg(program));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(program.to_str().unwrap()) && said.contains(why), "{said}");
    }
}
