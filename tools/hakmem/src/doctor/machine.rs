//! What the machine gives a process: pages, huge pages, overcommit, mappings, limits.

use super::Finding;
use hakmem_os::vm::PAGE;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Address space or memory below this is tight for any allocator.
const TIGHT: u64 = 1 << 30;
/// The kernel's own default of `vm.max_map_count`.
const USUAL_MAPS: u64 = 65_530;

/// One finding for each thing the kernel decides.
pub fn examine() -> Vec<Finding> {
    vec![
        page_size(rustix::param::page_size()),
        huge_pages(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
        overcommit(&read("/proc/sys/vm/overcommit_memory")),
        mappings(read("/proc/sys/vm/max_map_count").parse().ok()),
        limit("RLIMIT_AS", "ulimit -v", getrlimit(Resource::As).current),
        limit("RLIMIT_DATA", "ulimit -d", getrlimit(Resource::Data).current),
        cgroup(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")),
    ]
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn page_size(bytes: usize) -> Finding {
    match bytes {
        PAGE => Finding::ok("page size", format!("{bytes} bytes")),
        _ => Finding::problem("page size", format!("{bytes} bytes; HAKMEM is built for {PAGE}")),
    }
}

fn huge_pages(modes: &str) -> Finding {
    const SUBJECT: &str = "huge pages";
    let mode = modes.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match mode {
        Some("madvise") => Finding::ok(SUBJECT, "transparent huge pages where a program asks for them (madvise)"),
        Some("always") => Finding::note(
            SUBJECT,
            "transparent huge pages everywhere (always), which can make any program larger; \
             `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled` leaves the choice to programs",
        ),
        Some(mode) => Finding::note(SUBJECT, format!("no transparent huge pages ({mode}); HAKMEM works without")),
        None => Finding::note(SUBJECT, "this kernel has no transparent huge pages; HAKMEM works without"),
    }
}

fn overcommit(mode: &str) -> Finding {
    const SUBJECT: &str = "overcommit";
    match mode {
        "0" => Finding::ok(SUBJECT, "heuristic (vm.overcommit_memory=0)"),
        "1" => Finding::ok(SUBJECT, "always granted (vm.overcommit_memory=1)"),
        "2" => Finding::note(
            SUBJECT,
            "strict (vm.overcommit_memory=2): writable address space counts against the commit limit before it is used",
        ),
        other => Finding::note(SUBJECT, format!("vm.overcommit_memory is `{other}`, which is none of 0, 1, 2")),
    }
}

fn mappings(count: Option<u64>) -> Finding {
    const SUBJECT: &str = "mappings";
    match count {
        Some(count) if count >= USUAL_MAPS => {
            Finding::ok(SUBJECT, format!("up to {count} in a process (vm.max_map_count)"))
        }
        Some(count) => Finding::note(
            SUBJECT,
            format!("only {count} in a process; `sysctl vm.max_map_count={USUAL_MAPS}` sets the kernel's own default"),
        ),
        None => Finding::note(SUBJECT, "vm.max_map_count cannot be read"),
    }
}

fn limit(subject: &'static str, command: &str, limit: Option<u64>) -> Finding {
    match limit {
        None => Finding::ok(subject, "unlimited"),
        Some(bytes) if bytes < TIGHT => {
            Finding::note(subject, format!("{}; if the program runs out of memory, raise it: `{command}`", show(bytes)))
        }
        Some(bytes) => Finding::ok(subject, show(bytes)),
    }
}

/// The tightest limit of this process's cgroup and those above it, for version 2 and for the memory controller of 1.
fn cgroup(memberships: &str, mount: &Path) -> Finding {
    const SUBJECT: &str = "cgroup";
    let files = memberships.lines().flat_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        let path = Path::new(path.trim_start_matches('/'));
        match controllers {
            "" => Some(["memory.max", "memory.high"].map(|file| (mount.to_path_buf(), path, file)).to_vec()),
            list if list.split(',').any(|controller| controller == "memory") => {
                Some(vec![(mount.join(list), path, "memory.limit_in_bytes")])
            }
            _ => None,
        }
    });
    let limits = files.flatten().flat_map(|(root, path, file)| {
        let levels: Vec<_> = path.ancestors().map(|level| root.join(level).join(file)).collect();
        levels.into_iter().filter_map(move |level| Some((fs::read_to_string(level).ok()?.trim().parse().ok()?, file)))
    });
    // Version 1 says "no limit" with a number near the largest.
    match limits.filter(|(bytes, _)| *bytes < u64::MAX / 4).min() {
        None => Finding::ok(SUBJECT, "no memory limit"),
        Some((bytes, file)) if bytes < TIGHT => {
            Finding::note(SUBJECT, format!("{file} is {}; `--profile small` keeps the footprint smallest", show(bytes)))
        }
        Some((bytes, file)) => Finding::ok(SUBJECT, format!("{file} is {}", show(bytes))),
    }
}

fn show(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn usual_machines_are_ok_and_unusual_ones_say_why() {
        assert_eq!(page_size(PAGE).verdict, Verdict::Ok);
        assert_eq!(page_size(65536).verdict, Verdict::Problem);
        assert_eq!(huge_pages("always [madvise] never").verdict, Verdict::Ok);
        assert!(huge_pages("[always] madvise never").text.contains("always"));
        assert!(huge_pages("always madvise [never]").text.contains("never"));
        assert_eq!(huge_pages("").verdict, Verdict::Note);
        assert_eq!(overcommit("0").verdict, Verdict::Ok);
        assert_eq!(overcommit("2").verdict, Verdict::Note);
        assert_eq!(mappings(Some(65_530)).verdict, Verdict::Ok);
        assert_eq!(mappings(Some(100)).verdict, Verdict::Note);
        assert_eq!(limit("RLIMIT_AS", "ulimit -v", None).verdict, Verdict::Ok);
        assert!(limit("RLIMIT_AS", "ulimit -v", Some(64 << 20)).text.contains("64 MiB"));
    }

    #[test]
    fn the_tightest_cgroup_above_the_process_counts() {
        let mount = crate::doctor::scratch("cgroup");
        fs::create_dir_all(mount.join("a/b")).unwrap();
        fs::write(mount.join("a/memory.max"), "max\n").unwrap();
        fs::write(mount.join("a/memory.high"), "104857600\n").unwrap();
        fs::write(mount.join("a/b/memory.max"), "8589934592\n").unwrap();
        assert!(cgroup("0::/a/b", &mount).text.contains("memory.high is 100 MiB"));
        assert_eq!(cgroup("0::/elsewhere", &mount).text, "no memory limit");

        fs::create_dir_all(mount.join("memory/c")).unwrap();
        fs::write(mount.join("memory/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        fs::write(mount.join("memory/c/memory.limit_in_bytes"), "2147483648\n").unwrap();
        assert!(cgroup("5:cpu:/\n4:memory:/c\n0::/", &mount).text.contains("memory.limit_in_bytes is 2048 MiB"));
    }
}
