//! A server's row from its start to its figures: redis, with a small load.

use hakmem_bench::results::Results;
use std::{
    fs,
    process::{Command, Output},
};
use tempfile::TempDir;

/// Runs the rows of redis that begin so, and returns what was printed and found.
fn bench(only: &str, libs: &str) -> (Output, Option<Results>) {
    let folder = TempDir::new().unwrap();
    let json = folder.path().join("results.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hakmem-bench"));
    // The deadline is for a server that hangs, on however busy a machine.
    command.args(["--only", only, "--libs", libs, "--rounds", "1", "--scale", "0.05", "--timeout", "900"]);
    let output = command.arg("--json").arg(&json).output().unwrap();
    let results = fs::read_to_string(&json).ok().map(|text| serde_json::from_str(&text).unwrap());
    (output, results)
}

#[test]
fn a_server_is_measured_from_its_start_to_its_rest() {
    // As one that ships with an allocator of its own, redis runs on that, too.
    let (output, results) = bench("memory_server redis set", "glibc,hakmem,shipped");
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("is left out") && std::env::var_os("CI").is_none() {
        eprintln!("SKIPPED: {errors}");
        return;
    }
    assert!(output.status.success(), "{errors}; `cargo build --release` makes the library");
    let text = String::from_utf8_lossy(&output.stdout);
    let results = results.unwrap();
    assert_eq!(results.rows[0].title(), "memory_server redis set and flush");
    for (candidate, outcome) in results.candidates.iter().zip(&results.rows[0].outcomes) {
        assert_eq!((outcome.failure.as_deref(), outcome.runs.len()), (None, 1), "{}", candidate.name);
        let run = &outcome.runs[0];
        let server = run.server.expect("a row of a server has its figures");
        // 20,000 values of 100 to 300 bytes: at least 4 MB.
        assert!(run.rss_start_kib > 0 && run.rss_peak_kib >= run.rss_start_kib + 4000, "{run:?}");
        for kib in [run.rss_freed_kib, server.after_3s_kib, server.after_10s_kib] {
            assert!(kib > 0 && kib <= run.rss_peak_kib, "{run:?}");
        }
        // All keys are gone; the server may have buffers for its client.
        assert!(server.live_kib < 4000 && run.cpu_ns > 0 && run.page_faults > 0, "{run:?}");
        assert!(outcome.above_live_kib().is_some());
    }
    for part in ["Servers, in MiB", "3 s after the load", "Peak resident memory"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
}
