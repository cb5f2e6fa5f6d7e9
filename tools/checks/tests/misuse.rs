//! Misuse is named in one line and survived: one small program per misuse, in tests/misuse. Each prints the pointers that
//! it misuses; the library must name exactly these, in the same order, and nothing else.

use hakmem_checks::{Program, source_tree};
use std::fs;

const TWICE: &str = "freed twice; ignored";
const NOT_IN_USE: &str = "not a block in use: freed already, or not where a block begins; ignored";
const UNKNOWN: &str = "not a block of any allocator known here; ignored";

/// Runs a program that misuses `function`; each pointer that it prints must be named as wrong in the way given.
fn named(source: &str, function: &str, wrongs: &[&str]) {
    let outcome = Program::build(&format!("misuse/{source}")).preloaded().succeed();
    let pointers: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(pointers.len(), wrongs.len(), "{outcome}");
    let line = |(pointer, wrong)| format!("hakmem: {function}({pointer}): {wrong}\n");
    let expected: String = pointers.iter().zip(wrongs).map(line).collect();
    assert_eq!(outcome.stderr, expected, "{outcome}");
}

macro_rules! misuses {
    ($extension:literal: $($name:ident = $function:literal, $wrongs:expr;)*) => {$(
        #[test]
        fn $name() {
            named(concat!(stringify!($name), ".", $extension), $function, &$wrongs);
        }
    )*};
}

misuses! { "c":
    free_end_of_readable = "free", [UNKNOWN; 2];
    free_function = "free", [UNKNOWN];
    free_impossible = "free", [UNKNOWN; 5];
    free_inside_large = "free", [NOT_IN_USE, UNKNOWN];
    free_inside_medium = "free", [NOT_IN_USE; 2];
    free_literal = "free", [UNKNOWN];
    free_private = "free", [UNKNOWN; 3];
    free_stack = "free", [UNKNOWN];
    free_stack_of_thread = "free", [UNKNOWN];
    free_static = "free", [UNKNOWN];
    free_tagged = "free", [UNKNOWN; 12];
    free_twice_after_trim = "free", [UNKNOWN];
    free_twice_large = "free", [NOT_IN_USE];
    free_twice_medium = "free", [NOT_IN_USE];
    free_twice_small = "free", [TWICE];
    free_twice_by_another_thread = "free", [TWICE];
    free_unmapped = "free", [UNKNOWN; 4];
    free_unreadable = "free", [UNKNOWN];
    keeps_errno = "free", [NOT_IN_USE, UNKNOWN, UNKNOWN];
    many_times = "free", [UNKNOWN; 100];
    realloc_freed = "realloc", [NOT_IN_USE];
    realloc_inside = "realloc", [NOT_IN_USE];
    realloc_stack = "realloc", [UNKNOWN];
    realloc_unmapped = "realloc", [UNKNOWN];
    usable_size_stack = "malloc_usable_size", [UNKNOWN];
    usable_size_unmapped = "malloc_usable_size", [UNKNOWN];
}

misuses! { "cc":
    delete_unmapped = "free", [UNKNOWN; 2];
    free_twice_delete = "free", [TWICE];
}

/// A file that the program opened in the place of its standard error gets none of the allocator's words.
#[test]
fn standard_error_closed() {
    let program = Program::build("misuse/standard_error_closed.c");
    let file = program.directory().join("file");
    program.preloaded().arg(&file).succeed();
    assert_eq!(fs::read_to_string(&file).expect("the program's file"), "the program's own\n");
}

#[test]
fn every_program_is_run() {
    for entry in fs::read_dir(source_tree().join("tests/misuse")).expect("the programs") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_program = path.extension().is_some_and(|extension| extension != "h");
        assert!(!is_program || include_str!("misuse.rs").contains(&name), "{} is run by no test", path.display());
    }
}
