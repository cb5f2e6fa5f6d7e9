//! The lints of scripts/inside-malloc see what they are there for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hakmem_rules::tree;

const BREAKS_A_RULE: &str = "//~";

/// Compiles a file of tests/lints into `out`.
fn compile(compiler: &str, file: &str, out: &Path, arguments: &[&str]) -> Output {
    let root = tree::root();
    let mut command = Command::new(compiler);
    command
        .arg(root.join("tests/lints").join(file))
        .args(["--edition=2024", "--crate-type=rlib", "--out-dir"])
        .arg(out);
    command.arg("-L").arg(out).args(arguments).env("CLIPPY_CONF_DIR", root.join("scripts/inside-malloc"));
    command.output().unwrap_or_else(|error| panic!("{compiler}: {error}; get it with: scripts/install-tools"))
}

#[test]
fn what_runs_inside_malloc_may_not_panic_nor_call_back() {
    let root = tree::root();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = compile("rustc", "libc.rs", out, &["-A", "missing_docs"]);
    assert!(library.status.success(), "{}", String::from_utf8_lossy(&library.stderr));

    let lints = fs::read_to_string(root.join("scripts/inside-malloc/lints")).expect("a list of lints");
    let library = format!("--extern=libc={}", out.join("liblibc.rlib").display());
    let mut arguments = vec!["--emit=metadata", "--error-format=short", &library];
    arguments.extend(lints.lines().flat_map(|lint| ["-W", lint]));
    let linted = compile("clippy-driver", "inside_malloc.rs", out, &arguments);
    let said = String::from_utf8_lossy(&linted.stderr);
    assert!(linted.status.success(), "{said}");

    // path:line:column: warning: ...
    let number = |line: &str| line.split_once("inside_malloc.rs:")?.1.split_once(':')?.0.parse().ok();
    let seen: BTreeSet<usize> = said.lines().filter_map(number).collect();
    let text = fs::read_to_string(root.join("tests/lints/inside_malloc.rs")).expect("the file just compiled");
    let broken: BTreeSet<usize> =
        text.lines().zip(1..).filter(|(line, _)| line.contains(BREAKS_A_RULE)).map(|(_, number)| number).collect();
    assert_eq!(seen, broken, "{said}");
}
