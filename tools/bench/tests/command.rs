//! The command itself: a quick comparison at a tiny scale, allocators that fail, and what is wrong with its arguments.

use hakmem_bench::results::Results;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// Runs the command and returns how it ended.
fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hakmem-bench")).args(arguments).output().unwrap()
}

/// Runs the command, which must succeed, and returns what it printed.
fn succeed(arguments: &[&str]) -> String {
    let output = bench(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Builds a preload library from C.
fn library(folder: &TempDir, name: &str, source: &str) -> PathBuf {
    let (code, library) = (folder.path().join(format!("{name}.c")), folder.path().join(format!("lib{name}.so")));
    fs::write(&code, source).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-fno-builtin", "-O1", "-o"]).arg(&library).arg(&code).status();
    assert!(built.unwrap().success(), "cc cannot build {name}.c");
    library
}

/// libc's own allocator under the public names, with `extra` at the start of malloc.
fn wrapper(extra: &str) -> String {
    format!(
        "#include <stddef.h>\n#include <stdlib.h>\n\
         extern void *__libc_malloc(size_t); extern void *__libc_calloc(size_t, size_t);\n\
         extern void *__libc_realloc(void *, size_t); extern void __libc_free(void *);\n\
         static unsigned long calls;\n\
         void *malloc(size_t size) {{ calls++; {extra} return __libc_malloc(size); }}\n\
         void *calloc(size_t n, size_t size) {{ return __libc_calloc(n, size); }}\n\
         void *realloc(void *p, size_t size) {{ return __libc_realloc(p, size); }}\n\
         void free(void *p) {{ __libc_free(p); }}\n"
    )
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

fn read(path: &Path) -> Results {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_quick_comparison_of_two_allocators_is_complete() {
    let folder = TempDir::new().unwrap();
    let [json, html] = ["results.json", "report.html"].map(|name| folder.path().join(name));
    let other = library(&folder, "other", &wrapper(""));
    let text = succeed(&[
        "--quick",
        "--scale",
        "0.001",
        "--rounds",
        "2",
        "--libs",
        "glibc,ceiling",
        "--lib",
        &argument("other", &other),
        "--json",
        json.to_str().unwrap(),
        "--html",
        html.to_str().unwrap(),
    ]);
    assert!(text.contains("geometric mean") && text.contains("p99.99"), "{text}");

    let results = read(&json);
    assert!(results.machine.cpus > 0 && results.command.contains(&"--quick".to_owned()));
    assert!(results.candidates[0].version.starts_with("glibc 2."), "{:?}", results.candidates);
    assert!(results.rows.len() >= 12, "{} rows", results.rows.len());
    for row in &results.rows {
        for outcome in [&row.outcomes[0], &row.outcomes[2]] {
            assert_eq!((outcome.failure.as_ref(), outcome.runs.len()), (None, 2), "{}", row.title());
            for run in &outcome.runs {
                assert!(run.operations > 0 && run.wall_ns > 0 && run.rss_peak_kib >= run.rss_start_kib, "{run:?}");
            }
        }
        assert!(row.outcomes[2].runs.iter().all(|run| run.malloc_library.ends_with("libother.so")));
    }
    let latency = results.rows.iter().find(|row| row.workload == "latency").unwrap();
    let latency = latency.outcomes[0].latency().unwrap();
    assert!(latency.p50 > 0.0 && latency.p50 <= latency.p99 && latency.p99_99 <= latency.max, "{latency:?}");
    assert!(results.rows.iter().any(|row| results.ceiling(row).is_some()));
    assert!(results.rows.iter().any(|row| row.outcomes[0].idle_kib().is_some()));

    let page = fs::read_to_string(&html).unwrap();
    for part in ["Speed against memory", "Time, row by row", "Latency of single calls", "<svg", "prefers-color-scheme"]
    {
        assert!(page.contains(part), "the report lacks {part}");
    }
    assert!(
        !page.contains("NaN") && !page.contains("src=") && !page.contains("href="),
        "the report needs something else"
    );

    let same = succeed(&["--compare", json.to_str().unwrap(), json.to_str().unwrap()]);
    assert!(same.contains("other: time × 1.000") && same.contains("Nothing changed beyond noise."), "{same}");
}

#[test]
fn allocators_that_fail_are_reported_and_the_others_go_on() {
    let folder = TempDir::new().unwrap();
    let json = folder.path().join("results.json");
    let crash = library(&folder, "crash", &wrapper("if (calls > 5000) __builtin_trap();"));
    let hang = library(&folder, "hang", &wrapper("while (calls > 5000) __asm__ volatile(\"\");"));
    let wrong = library(&folder, "wrong", "int nothing_of_malloc;\n");
    let good = library(&folder, "good", &wrapper(""));
    let compare = |own: &[(&str, &PathBuf)], more: &[&str]| {
        let own: Vec<_> = own.iter().map(|(name, path)| argument(name, path)).collect();
        let mut arguments = vec!["--libs", "glibc", "--only", "random_mixed 128 ", "--rounds", "1", "--scale", "0.001"];
        arguments.extend(["--by", "cpu", "--json", json.to_str().unwrap()]);
        arguments.extend(own.iter().flat_map(|text| ["--lib", text]).chain(more.iter().copied()));
        let text = succeed(&arguments);
        (text, read(&json))
    };
    // Whether the others are done within so short a time is not asked.
    let (text, results) = compare(&[("hang", &hang)], &["--timeout", "3"]);
    let failure = results.rows[0].outcomes[1].failure.clone().unwrap_or_default();
    assert!(failure.contains("no result within 3s") && text.contains("hang in random_mixed 128"), "{text}");

    let (text, results) = compare(&[("crash", &crash), ("wrong", &wrong), ("good", &good)], &[]);
    let failure = |index: usize| results.rows[0].outcomes[index].failure.clone().unwrap_or_default();
    assert_eq!(failure(0), "");
    assert!(failure(1).contains("killed by signal"), "{}", failure(1));
    assert!(failure(2).contains("malloc came from") && failure(2).contains("libc.so"), "{}", failure(2));
    assert_eq!(failure(3), "");
    assert_eq!(results.rows[0].outcomes[3].runs.len(), 1);
    for name in ["crash", "wrong"] {
        assert!(text.contains(&format!("{name} in random_mixed 128")), "{text}");
    }
}

#[test]
fn memory_is_compared_by_figures_of_its_own() {
    let folder = TempDir::new().unwrap();
    let [json, html] = ["results.json", "report.html"].map(|name| folder.path().join(name));
    let other = argument("other", &library(&folder, "other", &wrapper("")));
    let rows = "memory_start,memory_idle freed by main,memory_thrash 64,memory_limits,memory_trim,memory_fragmentation";
    let mut arguments = vec!["--only", rows, "--rounds", "1", "--scale", "0.01", "--libs", "glibc", "--lib", &other];
    arguments.extend(["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()]);
    let text = succeed(&arguments);
    let tables = ["Peak resident", "above the start", "Page faults", "System calls", "over live memory", "Time per"];
    let places = tables.map(|title| text.find(title).unwrap_or_else(|| panic!("no table `{title}` in {text}")));
    assert!(places.is_sorted(), "memory comes first: {text}");

    let results = read(&json);
    for row in &results.rows {
        let [glibc, other] = &row.outcomes[..] else { panic!("two candidates") };
        for outcome in [glibc, other] {
            assert_eq!((outcome.failure.as_ref(), outcome.runs.len()), (None, 1), "{}", row.title());
        }
        // The other one is libc's allocator under the public names, and has no malloc_trim.
        assert_eq!((glibc.trimmed_kib().is_some(), other.trimmed_kib()), (true, None), "{}", row.title());
        assert_eq!(glibc.idle_kib().is_some(), ["memory_idle", "memory_fragmentation"].contains(&&*row.workload));
        // Its block of 64 MiB is a mapping of its own each time.
        assert!(row.workload != "memory_thrash" || glibc.calls_per_hundred().unwrap() >= 200.0);
        assert!(row.workload != "memory_fragmentation" || glibc.drift().len() == 48);
        let limit = row.parameters.strip_prefix("address_space=").and_then(|rest| rest.split(' ').next());
        let limit = limit.map_or(u64::MAX, |mebibytes| mebibytes.parse::<u64>().unwrap() << 10);
        assert!(glibc.runs[0].address_space_kib <= limit, "{}: {:?}", row.title(), glibc.runs[0]);
    }
    assert!(results.rows.iter().any(|row| row.parameters.starts_with("address_space=")));
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("Memory, row by row") && page.contains("Memory through a day") && !page.contains("NaN"));
}

#[test]
fn health_finds_a_slow_library_and_one_that_breaks_its_blocks() {
    let folder = TempDir::new().unwrap();
    let good = argument("good", &library(&folder, "good", &wrapper("")));
    let check = |library: &str, floor: &str| {
        let floors = ["--mixed-floor", floor, "--middle-floor", floor];
        let output = bench(&[&["health", "--scale", "0.002", "--rounds", "1", "--lib", library], &floors[..]].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (healthy, text) = check(&good, "0.001");
    assert!(healthy && text.matches("ok ").count() == 4 && !text.contains("FAIL"), "{text}");
    let (healthy, text) = check(&good, "1000");
    assert!(!healthy && text.matches("FAIL random_mixed").count() == 2, "{text}");

    // Some blocks are given out twice, of sizes that only the workload asks for.
    let twice = "static void *last; static size_t room; void *shared = last; \
                 if (size % 8 == 1 && size > 100) { if (shared && size <= room) { last = NULL; return shared; } \
                 room = size; return last = __libc_malloc(size); }";
    let source = wrapper(twice);
    let source = source.replace("__libc_free(p);", "(void)p;");
    let broken = argument("broken", &library(&folder, "broken", &source));
    let (healthy, text) = check(&broken, "0.0");
    assert!(!healthy && text.contains("FAIL integrity") && text.contains("byte"), "{text}");
}

#[test]
fn a_program_of_the_user_s_is_compared() {
    let folder = TempDir::new().unwrap();
    let json = folder.path().join("results.json");
    let good = argument("good", &library(&folder, "good", &wrapper("")));
    let path = json.to_str().unwrap();
    succeed(&["--libs", "glibc", "--lib", &good, "--rounds", "2", "--json", path, "--program", "--", "sleep", "0.05"]);
    let results = read(&json);
    assert_eq!(results.rows[0].title(), "program sleep");
    for outcome in &results.rows[0].outcomes {
        assert_eq!((outcome.runs.len(), outcome.failure.as_deref()), (2, None));
    }
    assert!(results.rows[0].outcomes[1].runs[0].wall_ns >= 50_000_000);
}

#[test]
fn wrong_arguments_are_answered_with_right_ones() {
    for (arguments, told) in [
        (&["--only", "no_such_row"][..], "`--list` shows them all"),
        (&["--scale", "0"], "no factor"),
        (&["--libs", "dlmalloc"], "there is glibc"),
        (&["--program", "--", "no-such-program"], "there is no program `no-such-program`"),
        (&["--compare", "/no/old.json", "/no/new.json"], "/no/old.json cannot be read"),
        (&["health", "--mixed-floor", "-1"], "mixed-floor"),
    ] {
        let output = bench(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        let known = told == "there is glibc" && errors.contains("dlmalloc") && errors.contains("glibc");
        assert!(known || errors.contains(told), "{arguments:?}: {errors}");
    }
}
