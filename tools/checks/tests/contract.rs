//! The contract of the C and C++ interface: one small program per rule, named after it, in tests/c and tests/cxx. What
//! holds for the C library's own malloc too is tried there first, which shows that the program is right.

use hakmem_checks::{Outcome, Program, Run, library, source_tree};
use std::fs;
use std::io::{Write, stderr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Runs on the library; correct programs hear nothing from it.
fn on_hakmem(run: &Run) -> Outcome {
    let outcome = run.succeed();
    assert!(!outcome.stderr.contains("hakmem:"), "{outcome}");
    outcome
}

/// A program that the C library's malloc passes as well.
fn holds_everywhere(source: &str) {
    let program = Program::build(source);
    program.plain().timeout(120).succeed();
    on_hakmem(&program.preloaded().timeout(300));
}

/// A program that asks for more than the C library's malloc gives.
fn holds_here(source: &str) {
    on_hakmem(&Program::build(source).preloaded().timeout(300));
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
    threads_small_stack threads_hand_over
    fork_busy_threads fork_stdio_deadlock fork_handlers_that_allocate fork_generations fork_other_programs
    foreign_libc_blocks
    realloc_copies_nothing
    api_size_zero api_realloc_edges api_realloc_contents api_failed_realloc api_product_overflow api_posix_memalign
    api_memalign api_page_aligned api_huge_alignment api_natural_alignment api_errno api_errno_when_the_system_fails
    api_usable_size api_calloc_zeroes api_calloc_leaves_fresh_pages api_old_names api_mallopt api_mallinfo
    api_malloc_stats
    limits_map_count limits_sandbox
}

// glibc 2.36: posix_memalign sets errno, aligned_alloc takes any alignment, there are no sized frees, locks of vanished
// threads stay locked in a child that was made without fork handlers.
rules! { holds_here, "c", "c":
    api_too_large api_aligned_alloc fork_without_handlers idle_after_fork
    pages_small_process
}

rules! { holds_everywhere, "cxx", "cc":
    threads_late_destructors operators_all operators_bad_alloc operators_in_containers
}

#[test]
fn every_program_is_run() {
    let checks = include_str!("contract.rs");
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

#[test]
fn dlopen_library_itself() {
    let program = Program::build("c/dlopen_library_itself.c");
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
fn limits_address_space() {
    let program = Program::build("c/limits_address_space.c");
    for kilobytes in [40_000, 100_000, 300_000] {
        let limit = format!("ulimit -v {kilobytes}");
        program.plain().after(&limit).succeed();
        on_hakmem(&program.preloaded().after(&limit));
    }
}

#[test]
fn limits_data_segment() {
    let program = Program::build("c/threads_hand_over.c");
    on_hakmem(&program.preloaded().after("ulimit -d 200000"));
    let program = Program::build("c/limits_address_space.c");
    for kilobytes in [40_000, 100_000, 300_000] {
        let limit = format!("ulimit -d {kilobytes}");
        program.plain().after(&limit).succeed();
        on_hakmem(&program.preloaded().after(&limit));
    }
}

/// A program that uses `hakmem.h` and has the library by the preload.
fn with_header(source: &str) -> Program {
    Program::build_with(source, &[&library().shared])
}

/// A run on which the state of this machine has no influence.
fn alone(run: Run) -> Run {
    run.env("HAKMEM_LIMIT_SYSTEM", "0").env("HAKMEM_LIMIT_PRESSURE", "0")
}

#[test]
fn limits_soft() {
    let program = with_header("c/limits_soft.c");
    on_hakmem(&alone(program.preloaded()));
    on_hakmem(&alone(program.preloaded()).env("HAKMEM_LIMIT_SOFT", "40M").arg("40"));
}

#[test]
fn limits_hard() {
    let program = with_header("c/limits_hard.c");
    on_hakmem(&alone(program.preloaded()).timeout(300));
    on_hakmem(&alone(program.preloaded()).env("HAKMEM_LIMIT_HARD", "96M").arg("environment").timeout(300));
}

/// Says aloud that a test is left out: the harness captures what goes through the print macros.
fn skip(test: &str, why: &str) {
    let _ = writeln!(stderr(), "SKIP: {why} (test {test})");
}

/// In a control group made for it, where this process may make one. Its directory goes again.
#[test]
fn limits_control_group() {
    struct Group(PathBuf);
    impl Drop for Group {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }
    let name = format!("hakmem-test-{}", std::process::id());
    // Version 1, or below the root of version 2, where groups have files of their own for each.
    let mounts = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
    let made = mounts.into_iter().find_map(|(mount, maximum)| {
        let group = Group(Path::new(mount).join(&name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(maximum), (160 << 20).to_string()).ok().map(|()| group)
    });
    let Some(group) = made else {
        return skip("limits_control_group", "no control group with a limit of memory can be made here");
    };
    let program = with_header("c/limits_control_group.c");
    let enter = format!("echo $$ > {}/cgroup.procs", group.0.display());
    // Not the pressure: that may be this machine's.
    let run = program.preloaded().env("HAKMEM_LIMIT_PRESSURE", "0").after(&enter).arg(&group.0).arg("real");
    on_hakmem(&run.timeout(120));
}

/// With files that stand in for the kernel's, in a mount namespace of its own: both versions, memory.high, pressure.
#[test]
fn limits_control_group_fake() {
    let versions = [
        ("0::/outer/inner", "outer/inner", ["memory.max", "memory.high", "memory.current"]),
        (
            "5:memory:/outer/inner",
            "memory/outer/inner",
            ["memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.usage_in_bytes"],
        ),
    ];
    let unshare = |script: &str| {
        let who = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
        Run::new(Path::new("/usr/bin/unshare")).arg(who).arg("/bin/sh").arg("-ec").arg(script).arg("sh")
    };
    const MOUNT: &str = "mount -t tmpfs none /sys/fs/cgroup; cd /sys/fs/cgroup";
    if !Path::new("/usr/bin/unshare").exists() || !unshare(MOUNT).finish().status.is_some_and(|status| status.success())
    {
        return skip("limits_control_group_fake", "no mount namespace can be made here");
    }
    let program = with_header("c/limits_control_group.c");
    for (own, directory, [max, high, current]) in versions {
        let script = format!(
            "{MOUNT}; mkdir -p {directory}; echo '{own}' > own; mount --bind own /proc/$$/cgroup\n\
             echo max > outer/memory.max 2> /dev/null || true; cd {directory}\n\
             echo $((160 << 20)) > {max}; echo max > {high}; echo 0 > {current}; touch memory.stat memory.pressure\n\
             [ {max} = memory.max ] || {{ mkdir -p ../../../unified; ln -s $PWD/memory.pressure ../../../unified/; }}\n\
             LD_PRELOAD=\"$1\" exec \"$2\" $PWD fake"
        );
        on_hakmem(&unshare(&script).arg(&library().shared).arg(program.executable()).timeout(120));
    }
}

#[test]
fn memory_given_back() {
    let program = Program::build("c/memory_given_back.c");
    for who in ["alone", "exited", "others"] {
        on_hakmem(&program.preloaded().arg(who));
    }
}

#[test]
fn memory_gaps() {
    let program = Program::build("c/memory_gaps.c");
    for when in ["trim", "idle"] {
        on_hakmem(&program.preloaded().arg(when));
    }
}

#[test]
fn memory_new_sizes() {
    let program = Program::build("c/memory_new_sizes.c");
    for huge_from in ["0", "32M"] {
        // Nothing goes back by the clock.
        let run = program.preloaded().env("HAKMEM_DECAY_MS", "3600000").env("HAKMEM_SCAVENGER", "0");
        on_hakmem(&run.env("HAKMEM_HUGE_FROM", huge_from));
    }
}

#[test]
fn idle_process_gives_back() {
    let program = Program::build("c/idle_process_gives_back.c");
    for who in ["owner", "other", "main"] {
        on_hakmem(&program.preloaded().arg(who));
    }
    // The test can fail: without the scavenger nothing goes back.
    let without = program.preloaded().arg("owner").env("HAKMEM_SCAVENGER", "0").finish();
    assert!(without.status.is_some_and(|status| !status.success()), "{without}");
}

#[test]
fn idle_threads_come_back() {
    let program = Program::build("c/idle_threads_come_back.c");
    program.plain().arg("between").succeed();
    for place in ["between", "handler", "undeferred"] {
        on_hakmem(&program.preloaded().arg(place));
    }
}

#[test]
fn idle_in_a_sandbox() {
    let program = Program::build("c/idle_in_a_sandbox.c");
    for when in ["early", "late"] {
        on_hakmem(&program.preloaded().arg(when));
    }
}

#[test]
fn memory_numbers() {
    let program = Program::build_with("c/memory_numbers.c", &[&library().archive]);
    // Nothing may change between two of its readings.
    on_hakmem(&program.plain().env("HAKMEM_SCAVENGER", "0"));
}

#[test]
fn memory_no_thrash() {
    let program = Program::build_with("c/memory_no_thrash.c", &[&library().archive]);
    for what in ["medium", "large", "used", "small", "mixed"] {
        on_hakmem(&program.plain().arg(what));
    }
    // The test can tell: without a decay every free of a large block is a call.
    let thrashing = program.plain().arg("large").env("HAKMEM_DECAY_MS", "0").finish();
    assert!(thrashing.stderr.contains("kernel calls in"), "{thrashing}");
}

#[test]
fn memory_new_peak() {
    let program = Program::build_with("c/memory_new_peak.c", &[&library().archive]);
    on_hakmem(&program.plain().env("HAKMEM_DECAY_MS", "3600000").env("HAKMEM_SCAVENGER", "0"));
}

/// What a trivial program costs more than on the C library's malloc. The kernel maps a library's pages in groups whose bounds
/// differ from run to run with the library's place, by a tenth of the whole: so the mean of many runs counts.
#[test]
fn memory_small_start() {
    const RUNS: i64 = 60;
    let program = Program::build("c/memory_small_start.c");
    let kilobytes = |run: Run| {
        let runs = (0..RUNS).map(|_| {
            let outcome = on_hakmem(&run);
            let numbers = outcome.stdout.lines().last().expect("two lines").split_whitespace();
            let numbers = numbers.map(|number| number.parse::<i64>().expect("a number"));
            <[i64; 2]>::try_from(numbers.collect::<Vec<_>>()).expect("two numbers")
        });
        runs.fold([0, 0], |sums, run| [sums[0] + run[0], sums[1] + run[1]]).map(|sum| sum / RUNS)
    };
    let ([resident, _], [ours, _]) = (kilobytes(program.plain()), kilobytes(program.preloaded()));
    assert!(ours <= resident + 300, "{ours} KB resident, {resident} KB on the C library's malloc");
    // The page map's reservation is given up where address space is limited.
    let limit = "ulimit -v 200000";
    let [_, size] = kilobytes(program.plain().after(limit));
    let [ours, our_size] = kilobytes(program.preloaded().after(limit));
    assert!(our_size <= size + 40_000, "{our_size} KB of address space, {size} KB on the C library's malloc");
    assert!(ours <= resident + 300, "{ours} KB resident under a limit, {resident} KB on the C library's malloc");
}

#[test]
fn worth_moving() {
    let program = Program::build_with("c/worth_moving.c", &[&library().archive]);
    for (size, order) in
        [("64", "in-order"), ("64", "shuffled"), ("2000", "shuffled"), ("0", "shuffled"), ("0", "of-another")]
    {
        on_hakmem(&program.plain().arg(size).arg(order));
    }
    // The scavenger at work on the same heap all the time changes no answer.
    on_hakmem(&program.plain().arg("0").arg("of-another").env("HAKMEM_DECAY_MS", "20"));
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
        let outcome = on_hakmem(&program.plain().env("LD_LIBRARY_PATH", ".").env("HAKMEM_STATS", "0").timeout(120));
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

/// A static program that throws nothing itself lacks the code for it; the documentation says how to link that.
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
