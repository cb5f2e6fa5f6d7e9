//! Misuse is named in one line and survived: one small program per misuse, in tests/misuse. Each prints the pointers
//! that it misuses; the library must name exactly these, in the same order, and nothing else.
//!
//! `cargo test -p hakmem-checks --test misuse table -- --nocapture` prints the table of docs/misuse.md: what HAKMEM,
//! the C library and those of the peers that the system has installed do with each program.

use hakmem_checks::{Outcome, Program, library, source_tree};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

const NOT_IN_USE: &str = "not a block in use: freed already, or not where a block begins; ignored";
const UNKNOWN: &str = "not a block of any allocator known here; ignored";
/// Small blocks of this many bytes.
const TWICE_24: &str = "small block of 32 bytes, freed twice: thread N has it among its free blocks; ignored";
/// The same where it is not known which thread freed it first.
const TWICE_24_BY_WHOM: &str = "small block of 32 bytes, freed twice; ignored";
const TWICE_200: &str = "small block of 208 bytes, freed twice: thread N has it among its free blocks; ignored";
const TWICE_MEDIUM: &str = "medium block of 102400 bytes, freed twice: thread N has it among its free blocks; ignored";
const SIGABRT: i32 = 6;

/// A program, the function that it misuses, and what is wrong with each pointer that it prints.
struct Misuse {
    source: &'static str,
    function: &'static str,
    wrongs: &'static [&'static str],
}

/// The message without the numbers of threads.
fn without_threads(text: &str) -> String {
    regex::Regex::new("thread [0-9]+").expect("an expression").replace_all(text, "thread N").into_owned()
}

impl Misuse {
    fn program(&self) -> Program {
        Program::build(&format!("misuse/{}", self.source))
    }

    /// What must be on standard error for the pointers that the program printed.
    fn expected(&self, outcome: &Outcome) -> String {
        let pointers: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(pointers.len(), self.wrongs.len(), "{outcome}");
        let line = |(pointer, wrong)| format!("hakmem: {}({pointer}): {wrong}\n", self.function);
        pointers.iter().zip(self.wrongs).map(line).collect()
    }

    fn is_named(&self) {
        let outcome = self.program().preloaded().succeed();
        assert_eq!(without_threads(&outcome.stderr), self.expected(&outcome), "{outcome}");
    }
}

macro_rules! misuses {
    ($($name:ident . $extension:ident = $function:literal, $wrongs:expr;)*) => {
        /// All programs, in alphabetical order.
        const ALL: &[Misuse] = &[$(Misuse {
            source: concat!(stringify!($name), ".", stringify!($extension)),
            function: $function,
            wrongs: &$wrongs,
        },)*];

        $(#[test]
        fn $name() {
            let source = concat!(stringify!($name), ".", stringify!($extension));
            ALL.iter().find(|misuse| misuse.source == source).expect("in the list").is_named();
        })*
    };
}

misuses! {
    aligned_sized_wrong.c = "free_aligned_sized", [
        "small block of 48 bytes, freed as one aligned to 4096; freed all the same",
        "small block of 128 bytes, freed as one of 4000 bytes; freed all the same",
    ];
    delete_aligned_wrong.cc = "operator delete", [
        "small block of 48 bytes, freed as one aligned to 4096; freed all the same",
        "small block of 128 bytes, freed as one of 4000 bytes; freed all the same",
    ];
    delete_behind_cookie.cc = "operator delete", ["8 bytes behind the beginning of a small block of 48 bytes; ignored"];
    delete_mismatched.cc = "", [];
    delete_through_base.cc = "operator delete", [
        "small block of 32 bytes, freed as one of 8 bytes; freed all the same",
        "medium block of 102400 bytes, freed as one of 8 bytes; freed all the same",
    ];
    delete_twice_between.cc = "free", [
        "small block of 16 bytes, freed twice: thread N has it among its free blocks; ignored",
    ];
    delete_unmapped.cc = "free", [UNKNOWN; 2];
    delete_wrong_size.cc = "operator delete", [
        "small block of 208 bytes, freed as one of 8 bytes; freed all the same",
        "small block of 208 bytes, freed as one of 209 bytes; freed all the same",
        "small block of 32 bytes, freed as one of 0 bytes; freed all the same",
        "small block of 32 bytes, freed as one of 18446744073709551615 bytes; freed all the same",
        "small block of 3072 bytes, freed as one of 2000 bytes; freed all the same",
        "medium block of 102400 bytes, freed as one of 1000 bytes; freed all the same",
        "medium block of 102400 bytes, freed as one of 200000 bytes; freed all the same",
        "large block of 10485760 bytes, freed as one of 1000 bytes; freed all the same",
        "large block of 10485760 bytes, freed as one of 20971520 bytes; freed all the same",
        "small block of 512 bytes, freed as one of 8 bytes; freed all the same",
    ];
    free_end_of_readable.c = "free", [UNKNOWN; 2];
    free_end_of_small.c = "free", ["small block of 3072 bytes that was never handed out; ignored"];
    free_function.c = "free", [UNKNOWN];
    free_impossible.c = "free", [UNKNOWN; 5];
    free_inside_large.c = "free", [
        "16 bytes behind the beginning of a large block of 10485760 bytes; ignored",
        "5242880 bytes behind the beginning of a large block of 10485760 bytes; ignored",
    ];
    free_inside_medium.c = "free", [
        "16 bytes behind the beginning of a medium block of 102400 bytes; ignored",
        "70000 bytes behind the beginning of a medium block of 102400 bytes; ignored",
    ];
    free_inside_small.c = "free", ["64 bytes behind the beginning of a small block of 208 bytes; ignored"];
    free_inside_small_by_another_thread.c = "free", [
        "16 bytes behind the beginning of a small block of 208 bytes; ignored",
    ];
    free_literal.c = "free", [UNKNOWN];
    free_misaligned_small.c = "free", ["1 bytes behind the beginning of a small block of 32 bytes; ignored"];
    free_never_handed_out.c = "free", ["small block of 16 bytes that was never handed out; ignored"];
    free_private.c = "free", [UNKNOWN; 3];
    free_stack.c = "free", [UNKNOWN];
    free_stack_of_thread.c = "free", [UNKNOWN];
    free_static.c = "free", [UNKNOWN];
    free_tagged.c = "free", [UNKNOWN; 12];
    free_twice_after_realloc.c = "free", [TWICE_24];
    free_twice_after_realloc_to_nothing.c = "free", [TWICE_24];
    free_twice_after_emptied.c = "free", [NOT_IN_USE];
    free_twice_after_retired.c = "free", [UNKNOWN];
    free_twice_after_trim.c = "free", [UNKNOWN];
    free_twice_by_another_thread.c = "free", [TWICE_24_BY_WHOM];
    free_twice_by_thread_that_ends.c = "free", [TWICE_24];
    free_twice_delete.cc = "free", [TWICE_200];
    free_twice_given_back.c = "free", [TWICE_24_BY_WHOM];
    free_twice_handed_over.c = "free", [TWICE_24];
    free_twice_large.c = "free", [NOT_IN_USE];
    free_twice_large_between.c = "free", [NOT_IN_USE];
    free_twice_medium.c = "free", [TWICE_MEDIUM];
    free_twice_medium_between.c = "free", [TWICE_MEDIUM];
    free_twice_one_between.c = "free", [TWICE_24];
    free_twice_others_live.c = "free", [
        "small block of 48 bytes, freed twice: thread N has it among its free blocks; ignored",
    ];
    free_twice_small.c = "free", [TWICE_24];
    free_twice_ten_between.c = "free", [TWICE_24];
    free_twice_then_trim.c = "free", [TWICE_24];
    free_twice_thousand_between.c = "free", [TWICE_24];
    free_twice_two_between.c = "free", [TWICE_24];
    free_twice_with_allocations.c = "free", [TWICE_24];
    free_unmapped.c = "free", [UNKNOWN; 4];
    free_unreadable.c = "free", [UNKNOWN];
    keeps_errno.c = "free", [NOT_IN_USE, UNKNOWN, UNKNOWN];
    many_times.c = "free", [UNKNOWN; 100];
    realloc_freed.c = "realloc", [NOT_IN_USE];
    realloc_freed_medium.c = "realloc", [TWICE_MEDIUM];
    realloc_freed_small.c = "realloc", [TWICE_200];
    realloc_inside.c = "realloc", ["4096 bytes behind the beginning of a large block of 10485760 bytes; ignored"];
    realloc_inside_small.c = "realloc", ["16 bytes behind the beginning of a small block of 208 bytes; ignored"];
    realloc_stack.c = "realloc", [UNKNOWN];
    realloc_unmapped.c = "realloc", [UNKNOWN];
    sized_inside.c = "free_sized", ["16 bytes behind the beginning of a small block of 208 bytes; ignored"];
    sized_too_large.c = "free_sized", [
        "small block of 32 bytes, freed as one of 100 bytes; freed all the same",
        "medium block of 102400 bytes, freed as one of 200000 bytes; freed all the same",
        "large block of 10485760 bytes, freed as one of 20971520 bytes; freed all the same",
    ];
    sized_too_small.c = "free_sized", ["small block of 1024 bytes, freed as one of 24 bytes; freed all the same"];
    sized_twice.c = "free_sized", [TWICE_200];
    usable_size_inside.c = "malloc_usable_size", [
        "16 bytes behind the beginning of a small block of 208 bytes; ignored",
        "16 bytes behind the beginning of a medium block of 102400 bytes; ignored",
        "16 bytes behind the beginning of a large block of 10485760 bytes; ignored",
    ];
    usable_size_stack.c = "malloc_usable_size", [UNKNOWN];
    usable_size_unmapped.c = "malloc_usable_size", [UNKNOWN];
    written_after_free.c = "free", [
        "small block of 32 bytes, written to after it was freed; those behind it are lost",
    ];
}

/// Misuse that is not noticed in time: the block is handed out before a slow path checks it, or the fault cannot be
/// known. The page says what happens then; the programs show that it is no worse.
const UNNOTICED: &[&str] = &[
    "unnoticed_handed_out_again.c",
    "unnoticed_handed_out_twice.c",
    "unnoticed_inside_handed_out.c",
    "unnoticed_twice_among_many_sent.c",
    "unnoticed_written_and_handed_out.c",
];

/// The allocator writes nothing to a file that the program opened in the place of its standard error.
#[test]
fn standard_error_closed() {
    let program = Program::build("misuse/standard_error_closed.c");
    let file = program.directory().join("file");
    program.preloaded().arg(&file).succeed();
    assert_eq!(fs::read_to_string(&file).expect("the program's file"), "the program's own\n");
}

/// The same where there was no standard error from the start: no reports, no statistics, no warnings about settings.
#[test]
fn standard_error_never_open() {
    let program = Program::build("misuse/standard_error_never_open.c");
    let settings =
        [("HAKMEM_ON_MISUSE", "report"), ("HAKMEM_STATS", "1"), ("HAKMEM_STATS", "json"), ("HAKMEM_DECAY_MS", "x")];
    for (name, value) in settings {
        let file = program.directory().join(format!("{name}-{value}"));
        program.preloaded().env(name, value).after("exec 2>&-").arg(&file).succeed();
        assert_eq!(fs::read_to_string(&file).expect("the program's file"), "the program's own\n", "{name}={value}");
    }
}

fn twice() -> &'static Misuse {
    ALL.iter().find(|misuse| misuse.source == "free_twice_small.c").expect("in the list")
}

#[test]
fn abort_names_the_first_misuse_and_ends_the_process() {
    for source in ["free_twice_small.c", "free_stack.c", "free_inside_large.c", "free_twice_given_back.c"] {
        let misuse = ALL.iter().find(|misuse| misuse.source == source).expect("in the list");
        let outcome = misuse.program().preloaded().env("HAKMEM_ON_MISUSE", "abort").finish();
        assert_eq!(outcome.status.and_then(|status| status.signal()), Some(SIGABRT), "{outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        assert!(outcome.stderr.contains(misuse.function), "{outcome}");
    }
}

#[test]
fn ignore_says_nothing_and_the_misuse_has_no_effect() {
    for misuse in ALL {
        let outcome = misuse.program().preloaded().env("HAKMEM_ON_MISUSE", "ignore").succeed();
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

#[test]
fn a_bad_choice_warns_once_and_misuse_is_named() {
    let outcome = twice().program().preloaded().env("HAKMEM_ON_MISUSE", "shout").succeed();
    let (warning, rest) = outcome.stderr.split_once('\n').expect("two lines");
    assert_eq!(warning, "hakmem: HAKMEM_ON_MISUSE=shout is ignored; accepted: one of these: report abort ignore");
    assert_eq!(without_threads(rest), twice().expected(&outcome), "{outcome}");
    let outcome = twice().program().preloaded().env("HAKMEM_ON_MISUSE", "report").succeed();
    assert_eq!(without_threads(&outcome.stderr), twice().expected(&outcome), "{outcome}");
}

/// The outcome of a misuse, in the table's words.
fn became(outcome: &Outcome) -> &'static str {
    match outcome.status {
        None => "hangs",
        Some(status) if status.signal() == Some(SIGABRT) => "named",
        Some(status) if status.signal().is_some() => "crashes",
        Some(status) if !outcome.stderr.is_empty() && status.success() => "named",
        Some(_) if !outcome.stderr.is_empty() => "named late",
        Some(status) if !status.success() => "goes wrong",
        Some(_) => "nothing",
    }
}

/// The peers' libraries of this system, with the names of their packages on Debian.
fn peers() -> Vec<(&'static str, PathBuf)> {
    let known =
        [("jemalloc", "libjemalloc.so.2"), ("mimalloc", "libmimalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4")];
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let found = |file: &str| places.iter().map(|place| Path::new(place).join(file)).find(|path| path.exists());
    known.into_iter().filter_map(|(name, file)| Some((name, found(file)?))).collect()
}

/// The page says for each program what HAKMEM does, and lists no program that does not exist.
#[test]
fn the_table_of_the_page_is_what_happens() {
    let mut libraries = vec![("HAKMEM", Some(library().shared.clone())), ("glibc", None)];
    libraries.extend(peers().into_iter().map(|(name, path)| (name, Some(path))));
    let mut table = String::from("| program |");
    libraries.iter().for_each(|(name, _)| table += &format!(" {name} |"));
    table += &format!("\n|---|{}\n", "---|".repeat(libraries.len()));
    let mut caught = vec![0; libraries.len()];
    let wrong = ALL.iter().filter(|misuse| !misuse.wrongs.is_empty()).map(|misuse| misuse.source);
    let wrong: Vec<_> = wrong.chain(UNNOTICED.iter().copied()).collect();
    let page = fs::read_to_string(source_tree().join("docs/misuse.md")).expect("docs/misuse.md");
    let mut stale = Vec::new();
    for source in &wrong {
        let program = Program::build(&format!("misuse/{source}"));
        table += &format!("| {source} |");
        for ((name, path), caught) in libraries.iter().zip(&mut caught) {
            let run = program.plain();
            let run = if let Some(path) = path { run.env("LD_PRELOAD", path) } else { run };
            let run = if *name == "HAKMEM" { run } else { run.may_hang() };
            let outcome = run.finish();
            let word = became(&outcome);
            *caught += usize::from(word == "named");
            table += &format!(" {word} |");
            if *name == "HAKMEM" && !page.contains(&format!("| {source} | {word} |")) {
                stale.push(format!("{source}: {word}"));
            }
        }
        table.push('\n');
    }
    table += &format!("| **named, of {}** |", wrong.len());
    caught.iter().for_each(|count| table += &format!(" **{count}** |"));
    println!("{table}");
    assert!(stale.is_empty(), "docs/misuse.md does not say so: {stale:?}");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains(".c"));
    let gone: Vec<_> = rows.filter(|row| !wrong.iter().any(|source| row.contains(&format!("| {source} |")))).collect();
    assert!(gone.is_empty(), "in docs/misuse.md, but no program: {gone:?}");
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
