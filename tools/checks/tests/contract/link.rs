//! The ways to link the library.

use crate::on_hakmem;
use hakmem_checks::{Program, library};
use std::os::unix::fs::symlink;

/// Programs that are linked with the library, in one of the ways that there are, instead of preloading it.
fn linked(arguments: &[&str]) {
    let mut sources = vec![
        "c/link_header_family.c",
        "c/start_up_constructors_first.c",
        "c/api_calloc_zeroes.c",
        "c/threads_small_stack.c",
        "c/fork_handlers_that_allocate.c",
        "cxx/operators_all.cc",
        "cxx/operators_bad_alloc.cc",
        "cxx/operators_new_handler.cc",
        "cxx/operators_in_containers.cc",
        "cxx/threads_late_destructors.cc",
    ];
    // dlopen, which these use, needs the shared C library.
    if !arguments.contains(&"-static") && !arguments.contains(&"-static-pie") {
        sources.extend(["c/foreign_libc_blocks.c", "c/api_old_names.c"]);
    }
    for source in sources {
        let program = Program::build_with(source, arguments);
        symlink(&library().shared, program.directory().join("libhakmem.so.0")).expect("a link to the library");
        let outcome = on_hakmem(&program.plain().env("LD_LIBRARY_PATH", ".").env("HAKMEM_STATS", "0"));
        assert!(outcome.stderr.is_empty(), "{outcome}");
    }
}

#[test]
fn link_shared_by_name() {
    let directory = library().shared.parent().expect("a directory").to_string_lossy();
    linked(&["-L", &directory, "-lhakmem"]);
}

#[test]
fn link_archive() {
    linked(&[&library().archive.to_string_lossy()]);
}

#[test]
fn link_archive_static() {
    linked(&["-static", &library().archive.to_string_lossy()]);
}

#[test]
fn link_archive_static_pie() {
    linked(&["-static-pie", "-fPIE", &library().archive.to_string_lossy()]);
}

/// A static program that throws nothing itself lacks the code that throws; the documentation says how to link it.
#[test]
fn link_archive_static_that_throws_nothing_else() {
    let archive = library().archive.to_string_lossy();
    let run = |flags: &[&str]| Program::build_with("cxx/operators_catch_only.cc", flags).plain().finish();
    let lacking = run(&["-static", &archive]);
    assert!(lacking.stderr.starts_with("hakmem: operator new: out of memory"), "{lacking}");
    // Linked as documented, or with the shared libraries, nothing is missing.
    for flags in [&["-static", &*archive, "-Wl,-u,_ZSt17__throw_bad_allocv"][..], &[&*archive][..]] {
        let outcome = run(flags);
        assert!(outcome.status.is_some_and(|status| status.success()), "{outcome}");
    }
    Program::build("cxx/operators_catch_only.cc").preloaded().succeed();
}
