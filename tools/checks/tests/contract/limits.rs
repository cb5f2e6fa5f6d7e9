//! Limits: of the system, of the control group, of the program's own; and a kernel that refuses.

use crate::{holds_here_without_scavenger, on_hakmem};
use hakmem_checks::{Program, Run, library};
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

/// Whichever call the kernel refuses, and a fork in the middle of each.
#[test]
fn kernel_refuses_each_call() {
    holds_here_without_scavenger("c/kernel_refuses_each_call.c");
}

#[test]
fn fork_at_each_kernel_call() {
    holds_here_without_scavenger("c/fork_at_each_kernel_call.c");
}

#[test]
fn kernel_refuses_a_thread() {
    let program = Program::build("c/kernel_refuses_a_thread.c");
    for how in ["now", "never"] {
        on_hakmem(&program.preloaded().arg(how));
    }
}

#[test]
fn threads_interrupted_waits() {
    let program = Program::build("c/threads_interrupted_waits.c");
    for error in ["interrupted", "again"] {
        on_hakmem(&program.preloaded().arg(error));
    }
}

#[test]
fn threads_no_key_to_be_had() {
    let outcome = on_hakmem(&Program::build_with("c/threads_no_key_to_be_had.c", &["-rdynamic"]).preloaded());
    assert!(!outcome.stdout.starts_with("0 keys"), "the library asked the C library: {outcome}");
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

/// The heaps that the C library's malloc makes for threads take all this address space by themselves.
#[test]
fn limits_threads_run_out() {
    on_hakmem(&Program::build("c/limits_threads_run_out.c").preloaded().after("ulimit -v 150000"));
}

#[test]
fn limits_room_comes_back() {
    let program = Program::build("c/limits_room_comes_back.c");
    program.plain().after("ulimit -v 200000").succeed();
    on_hakmem(&program.preloaded().after("ulimit -v 200000"));
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
pub(crate) fn with_header(source: &str) -> Program {
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
    on_hakmem(&alone(program.preloaded()));
    on_hakmem(&alone(program.preloaded()).env("HAKMEM_LIMIT_HARD", "96M").arg("environment"));
}

/// Prints that a test is left out, past the harness, which captures the output of the print macros.
fn skip(test: &str, why: &str) {
    let _ = writeln!(stderr(), "SKIP: {why} (test {test})");
}

/// Runs in a control group of its own, where this process may make one. Its directory is removed afterwards.
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
    // The pressure is left out: it may be that of this machine.
    let run = program.preloaded().env("HAKMEM_LIMIT_PRESSURE", "0").after(&enter).arg(&group.0).arg("real");
    on_hakmem(&run);
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
    let programs = [with_header("c/limits_control_group.c"), with_header("c/limits_files_refused.c")];
    for (own, directory, [max, high, current]) in versions {
        let script = format!(
            "{MOUNT}; mkdir -p {directory}; echo '{own}' > own; mount --bind own /proc/$$/cgroup\n\
             echo max > outer/memory.max 2> /dev/null || true; cd {directory}\n\
             echo $((160 << 20)) > {max}; echo max > {high}; echo 0 > {current}; touch memory.stat memory.pressure\n\
             [ {max} = memory.max ] || {{ mkdir -p ../../../unified; ln -s $PWD/memory.pressure ../../../unified/; }}\n\
             LD_PRELOAD=\"$1\" exec \"$2\" $PWD fake"
        );
        let run = |program: &Program| unshare(&script).arg(&library().shared).arg(program.executable());
        on_hakmem(&run(&programs[0]));
        on_hakmem(&run(&programs[1]).env("HAKMEM_SCAVENGER", "0"));
    }
}

/// Address space that was reserved and is not used must not count.
#[test]
fn limits_lowered() {
    let program = Program::build("c/limits_lowered.c");
    for limit in ["data", "as"] {
        program.plain().arg(limit).succeed();
        on_hakmem(&program.preloaded().arg(limit));
    }
}

/// All mapped memory is locked, used or not: so it must be little.
#[test]
fn limits_locked() {
    let program = Program::build("c/limits_locked.c");
    let locked = |run: Run| on_hakmem(&run).stdout.trim().parse::<u64>();
    let (Ok(theirs), Ok(ours)) = (locked(program.plain()), locked(program.preloaded())) else {
        return skip("limits_locked", "this user may not lock 64 MB of memory");
    };
    assert!(ours <= theirs + 10_000, "{ours} KB are locked, {theirs} KB on the C library's malloc");
}

#[test]
fn limits_allow_list() {
    let program = Program::build("c/limits_allow_list.c");
    for (when, how) in ["early", "late", "frees"].into_iter().flat_map(|when| [(when, "prctl"), (when, "syscall")]) {
        program.plain().arg(when).arg(how).succeed();
        on_hakmem(&program.preloaded().arg(when).arg(how));
    }
}

#[test]
fn limits_one_thread() {
    let program = Program::build("c/limits_one_thread.c");
    program.plain().succeed();
    on_hakmem(&program.preloaded());
}
