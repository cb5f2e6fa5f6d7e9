//! The contract of the C and C++ interface: one small program per rule, named after it, in tests/c and tests/cxx. What
//! holds for the C library's own malloc too is tried there first, which shows that the program is right.

mod limits;
mod link;
mod memory;

use hakmem_checks::{Outcome, Program, Run, library, source_tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Runs on the library; correct programs hear nothing from it.
fn on_hakmem(run: &Run) -> Outcome {
    let outcome = run.succeed();
    assert!(!outcome.stderr.contains("hakmem:"), "{outcome}");
    outcome
}

/// A program that the C library's malloc passes as well.
fn holds_everywhere(source: &str) {
    let program = Program::build(source);
    program.plain().succeed();
    on_hakmem(&program.preloaded());
}

/// A program that asks for more than the C library's malloc gives.
fn holds_here(source: &str) {
    on_hakmem(&Program::build(source).preloaded());
}

/// The same where calls of the kernel are signals, which the scavenger would not hear.
fn holds_here_without_scavenger(source: &str) {
    on_hakmem(&Program::build(source).preloaded().env("HAKMEM_SCAVENGER", "0"));
}

macro_rules! rules {
    ($how:ident, $directory:literal, $extension:literal: $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $how(concat!($directory, "/", stringify!($name), ".", $extension));
        }
    )*};
}

rules! { holds_everywhere, "c", "c":
    start_up_constructors_first start_up_dlsym_first start_up_many_keys_first start_up_calloc_is_not_recursive
    threads_every_entry_first threads_cancellation threads_priority_inversion threads_shared_memory_children
    threads_small_stack threads_hand_over threads_hand_over_aligned threads_huge_blocks threads_contexts_move threads_in_turn threads_cancelled_reports
    fork_busy_threads fork_stdio_deadlock fork_handlers_that_allocate fork_generations fork_other_programs
    fork_in_signal_handler exit_main_thread_first
    foreign_libc_blocks
    realloc_copies_nothing realloc_split_mapping
    api_size_zero api_realloc_edges api_realloc_contents api_failed_realloc api_product_overflow api_posix_memalign
    api_memalign api_page_aligned api_every_alignment api_huge_alignment api_natural_alignment api_errno api_errno_when_the_system_fails
    api_usable_size api_calloc_zeroes api_calloc_leaves_fresh_pages api_old_names api_mallopt api_mallinfo
    api_malloc_stats api_c_library_blocks
    memory_aligned_again
    limits_map_count limits_sandbox limits_address_space_full
}

// glibc 2.36: nothing is 24 bytes, posix_memalign sets errno, aligned_alloc takes any alignment, there are no sized frees, locks of vanished
// threads stay locked in a child that was made without fork handlers, heaps of many threads keep what was freed.
rules! { holds_here, "c", "c":
    api_too_large api_aligned_alloc fork_without_handlers idle_after_fork
    api_usable_size_is_near pages_small_process threads_generations
}

rules! { holds_everywhere, "cxx", "cc":
    threads_late_destructors operators_all operators_bad_alloc operators_in_containers
    operators_sized_delete
}

#[test]
fn every_program_is_run() {
    let checks =
        concat!(include_str!("main.rs"), include_str!("limits.rs"), include_str!("link.rs"), include_str!("memory.rs"));
    for directory in ["c", "cxx"] {
        for entry in fs::read_dir(source_tree().join("tests").join(directory)).expect("the programs") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let is_program = path.extension().is_some_and(|extension| extension == "c" || extension == "cc");
            assert!(!is_program || checks.contains(&name), "{} is run by no test", path.display());
        }
    }
}

#[test]
fn start_up_ifunc_resolver() {
    let scratch = Program::build("c/quiet.c");
    let plugin = scratch.plugin("c/plugin/ifunc.c", "libifunc.so");
    let program = Program::build_with("c/start_up_ifunc_resolver.c", &[&plugin.path]);
    let with_plugin = |run: Run| run.env("LD_LIBRARY_PATH", scratch.directory());
    with_plugin(program.plain()).succeed();
    on_hakmem(&with_plugin(program.preloaded()));
}

#[test]
fn start_up_loader_blocks() {
    let program = Program::build("c/start_up_loader_blocks.c");
    let first = program.plugin("c/plugin/tls.c", "tls.so");
    let copies: Vec<_> = (0..24).map(|number| program.directory().join(format!("tls{number}.so"))).collect();
    for copy in &copies {
        fs::copy(&first.path, copy).expect("a copy of the plugin");
    }
    let with_copies = |run: Run| copies.iter().fold(run, Run::arg);
    with_copies(program.plain()).succeed();
    on_hakmem(&with_copies(program.preloaded()));
}

/// Wrong sizes and alignments are named, and break nothing. Right ones are not named.
#[test]
fn api_sized_frees() {
    let program = Program::build("c/api_sized_frees.c");
    on_hakmem(&program.preloaded());
    let outcome = program.preloaded().arg("wrong").succeed();
    assert!(outcome.stderr.lines().count() == 100 && outcome.stderr.contains("freed all the same"), "{outcome}");
}

/// Whatever huge pages cost on this machine at the moment.
#[test]
fn pages_grown_process() {
    on_hakmem(&Program::build("c/pages_grown_process.c").preloaded().env("HAKMEM_HUGE_PRICE", "0"));
}

#[test]
fn start_up_bad_settings_warn_once_each() {
    let settings = [
        ("HAKMEM_DECAY_MS", "soon", "whole number"),
        ("HAKMEM_CACHE_BYTES", "99999G", "0 to "),
        ("HAKMEM_PROFILE", "nonesuch", "throughput"),
        ("HAKMEM_STATS", "perhaps", "json"),
        ("HAKMEM_NO_SUCH_SETTING", "1", "HAKMEM_DECAY_MS"),
    ];
    let run = Program::build("c/quiet.c");
    let outcome = settings.iter().fold(run.preloaded(), |run, (name, value, _)| run.env(name, value)).succeed();
    for (name, value, accepted) in settings {
        let start = format!("hakmem: {name}={value} ");
        let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with(&start)).collect();
        assert!(lines.len() == 1 && lines[0].contains(accepted), "{name}: {outcome}");
    }
    assert_eq!(outcome.stderr.lines().count(), settings.len(), "{outcome}");
}

/// Settings of the C library's own malloc mean nothing here, and do no harm.
#[test]
fn start_up_settings_of_glibc() {
    let tunables = "glibc.malloc.check=3:glibc.malloc.perturb=165:glibc.malloc.tcache_count=0:glibc.malloc.hugetlb=1";
    let settings = [
        ("MALLOC_CHECK_", "3"),
        ("MALLOC_PERTURB_", "165"),
        ("MALLOC_ARENA_MAX", "1"),
        ("MALLOC_MMAP_THRESHOLD_", "1"),
        ("GLIBC_TUNABLES", tunables),
    ];
    for source in ["c/api_calloc_zeroes.c", "c/api_usable_size.c", "c/threads_hand_over.c"] {
        let program = Program::build(source);
        on_hakmem(&settings.iter().fold(program.preloaded(), |run, (name, value)| run.env(name, value)));
    }
}

#[test]
fn start_up_secure_mode_writes_no_file() {
    const NOBODY: u32 = 65534;
    let program = Program::build_with("c/secure.c", &[&library().archive]);
    let report = program.directory().join("report");
    let run = || program.plain().env("HAKMEM_STATS", "json").env("HAKMEM_STATS_FILE", &report);
    run().succeed();
    assert!(report.is_file(), "without secure mode there is a report");

    fs::remove_file(&report).expect("the report goes");
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can run a set-user-id program as somebody else");
    }
    for (path, mode) in [(program.directory(), 0o777), (program.executable(), 0o4755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    }
    let outcome = run().user(NOBODY).succeed();
    if !outcome.stdout.contains("secure: 1") {
        return eprintln!("skipped: the temporary directory is mounted nosuid");
    }
    assert!(!report.exists(), "a set-user-id program wrote {}", report.display());
}

#[test]
fn threads_owner_blocked() {
    owner_gone("blocked");
}

#[test]
fn threads_owner_exited() {
    owner_gone("exited");
}

#[test]
fn pages_brought_in() {
    const PAGES: usize = (20 << 20) / 4096;
    let program = Program::build("c/pages_brought_in.c");
    let touched = |run: Run| run.succeed().stdout.trim().parse::<usize>();
    let Ok(without) = touched(program.preloaded().env("HAKMEM_POPULATE_BYTES", "0")) else {
        return eprintln!("skipped: this kernel brings in no pages by request");
    };
    let with = touched(program.preloaded()).expect("a number");
    assert!(without > PAGES / 10 * 9, "{without} of {PAGES} pages are touched first by the program");
    assert!(with < PAGES / 10, "{with} of {PAGES} pages are, where they are brought in");
}

fn owner_gone(how: &str) {
    let program = Program::build("c/threads_owner_gone.c");
    program.plain().arg(how).succeed();
    on_hakmem(&program.preloaded().arg(how));
}

/// A child that allocates although its handler interrupted the allocator: the C library's malloc does not promise that.
#[test]
fn fork_in_signal_handler_and_allocate() {
    on_hakmem(&Program::build("c/fork_in_signal_handler.c").preloaded().arg("allocates"));
}

#[test]
fn threads_stack_use() {
    let program = Program::build("c/threads_stack_use.c");
    // Symbols bound at the start: the loader would bind them on the painted stack.
    program.plain().env("LD_BIND_NOW", "1").succeed();
    on_hakmem(&program.preloaded().env("LD_BIND_NOW", "1"));
}

#[test]
fn exit_late_calls() {
    let program = Program::build("c/exit_late_calls.c");
    let plugin = program.plugin("c/plugin/late.c", "late.so");
    program.plain().arg(&plugin.path).succeed();
    on_hakmem(&program.preloaded().arg(&plugin.path));
    // The statistics at the end count late calls, or miss them, but do not break.
    let outcome = program.preloaded().env("HAKMEM_STATS", "1").arg(&plugin.path).succeed();
    assert!(outcome.stderr.contains("live_bytes"), "{outcome}");
}

#[test]
fn dlopen_deepbind_plugin() {
    let program = Program::build("c/dlopen_deepbind_plugin.c");
    let plugin = program.plugin("c/plugin/exchange.c", "exchange.so");
    program.plain().arg(&plugin.path).succeed();
    on_hakmem(&program.preloaded().arg(&plugin.path));
}

#[test]
fn dlopen_search_path() {
    let program = Program::build("c/dlopen_search_path.c");
    fs::create_dir(program.directory().join("aside")).expect("a directory");
    program.plugin("c/plugin/neighbour.c", "aside/libneighbour.so");
    let opener = program.plugin_with("c/plugin/opens_neighbour.c", "opener.so", &["-Wl,-rpath,$ORIGIN/aside"]);
    program.plain().arg(&opener.path).succeed();
    on_hakmem(&program.preloaded().arg(&opener.path));
}

/// The plugin's allocator is its own: it finds none of the program's.
#[test]
fn dlopen_plugin_closed() {
    let program = Program::build("c/dlopen_plugin_closed.c");
    let archive = library().archive.to_string_lossy();
    let arguments = ["-fvisibility=hidden", "-Wl,--exclude-libs,ALL", &archive];
    let plugin = program.plugin_with("c/plugin/own_copy.c", "own_copy.so", &arguments);
    on_hakmem(&program.plain().arg(&plugin.path));
    on_hakmem(&program.preloaded().arg(&plugin.path));
}

/// Each copy of the plugin is a plugin of its own.
#[test]
fn dlopen_rust_plugin() {
    let program = Program::build("c/dlopen_rust_plugin.c");
    let copies = ["first.so", "second.so", "third.so"].map(|name| program.directory().join(name));
    for copy in &copies {
        fs::copy(&library().rust_plugin, copy).expect("`cargo build --release --workspace` makes the plugin");
    }
    for run in [program.plain(), program.preloaded()] {
        on_hakmem(&copies.iter().fold(run, Run::arg));
    }
}

#[test]
fn dlopen_library_itself() {
    let program = Program::build("c/dlopen_library_itself.c");
    on_hakmem(&program.plain().arg(&library().shared));
}

#[test]
fn dlopen_library_in_thread() {
    let program = Program::build("c/dlopen_library_in_thread.c");
    on_hakmem(&program.plain().arg(&library().shared));
}

#[test]
fn dlopen_cxx_plugin() {
    let program = Program::build("c/dlopen_cxx_plugin.c");
    let plugin = program.plugin("cxx/plugin/runtime.cc", "runtime.so");
    program.plain().arg(&plugin.path).succeed();
    on_hakmem(&program.preloaded().arg(&plugin.path));
}

#[test]
fn foreign_other_namespace() {
    let program = Program::build("c/foreign_other_namespace.c");
    let plugin = program.plugin("c/plugin/exchange.c", "exchange.so");
    // The other heap's blocks may be named; nothing else may happen.
    program.preloaded().arg(&plugin.path).succeed();
}

#[test]
fn operators_new_handler() {
    let program = Program::build("cxx/operators_new_handler.cc");
    program.plain().after("ulimit -v 500000").succeed();
    on_hakmem(&program.preloaded().after("ulimit -v 500000"));
}

#[test]
fn api_malloc_trim() {
    // No decay in between: what is free is still there to be given back.
    on_hakmem(&Program::build("c/api_malloc_trim.c").preloaded().env("HAKMEM_DECAY_MS", "3600000"));
}

#[test]
fn api_malloc_info() {
    let program = Program::build("c/api_malloc_info.c");
    for run in [program.plain(), program.preloaded()] {
        let outcome = run.succeed();
        let document = roxmltree::Document::parse(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
        assert_eq!(document.root_element().tag_name().name(), "malloc", "{outcome}");
        assert!(document.root_element().children().any(|child| child.is_element()), "{outcome}");
    }
}
