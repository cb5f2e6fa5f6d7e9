//! What the system says about memory: the limits of the process's control group and of the groups that contain it, how much of the
//! limits is used, and how much time is lost because memory is short.
//!
//! It relies on files of the kernel, described in its documentation under "Control Group v2", "Memory Resource Controller" (v1) and
//! "PSI". A file that is missing, unreadable or malformed counts as no limit and no pressure. The hierarchies are looked for below
//! /sys/fs/cgroup, where systemd and every container runtime mount them.
//!
//! In a container without a cgroup namespace, the path of the group is that of the host and does not exist in the container, which
//! sees its own group at the mount point. So the walk begins at the group's path, goes up to the mount point, and uses each folder that
//! exists.

use super::file;
use core::ffi::CStr;

/// What the system says, in bytes; `usize::MAX` means that there is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Above this the kernel slows the group down: the smallest `memory.high` of the group and those around it, or v1's soft limit.
    pub high: usize,
    /// Above this the kernel ends processes of the group: the smallest `memory.max` of these groups, or v1's limit.
    pub max: usize,
    /// The limit that the caller compares with: `high`, or the wanted share of `max` if that is smaller. It is the limit of the group
    /// that has the least room left below it.
    pub limit: usize,
    /// What that group uses. Near the limit or above it, this leaves out what the kernel can drop, such as pages of files.
    pub used: usize,
    /// The share of time in which some thread waits for memory, as a mean over ten seconds, in hundredths of a percent.
    pub pressure: usize,
}

impl Reading {
    /// The reading of a system without limits and without pressure.
    pub const NOTHING: Reading = Reading { high: usize::MAX, max: usize::MAX, limit: usize::MAX, used: 0, pressure: 0 };

    /// What is left below the limit.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// Whether an eighth of the limit or less is left.
    pub fn is_near(&self) -> bool {
        self.room() <= self.limit / 8
    }
}

/// The names of the files in one version of control groups.
struct Names {
    high: &'static [u8],
    max: &'static [u8],
    used: &'static [u8],
    /// The keys in memory.stat for memory that the kernel can drop.
    droppable: [&'static [u8]; 3],
}

const V2: Names = Names {
    high: b"/memory.high",
    max: b"/memory.max",
    used: b"/memory.current",
    droppable: [b"active_file", b"inactive_file", b"slab_reclaimable"],
};
const V1: Names = Names {
    high: b"/memory.soft_limit_in_bytes",
    max: b"/memory.limit_in_bytes",
    used: b"/memory.usage_in_bytes",
    droppable: [b"total_active_file", b"total_inactive_file", b""],
};

const MOUNT: &[u8] = b"/sys/fs/cgroup";
/// The memory hierarchy of version 1, and the hierarchy of version 2 beside it.
const MOUNT_V1: &[u8] = b"/sys/fs/cgroup/memory";
const MOUNT_BESIDE: &[u8] = b"/sys/fs/cgroup/unified";

/// Reads the limits, unless `percent` is 0, and the pressure if `with_pressure` is set. `percent` is the share of the maximum that the
/// caller wants to compare with. Paths begin with `root`, which is empty except in tests.
pub fn read(root: &[u8], percent: usize, with_pressure: bool) -> Reading {
    let mut reading = Reading::NOTHING;
    let (mut v1, mut v2) = (Path::new(root, MOUNT_V1), Path::new(root, MOUNT));
    let has_v1 = find_groups(root, &mut v1, &mut v2);
    let mut pressure = None;
    while v2.group_or_parent() {
        if percent != 0 && !has_v1 {
            add_level(&mut reading, &mut v2, &V2, percent);
        }
        if with_pressure && pressure.is_none() {
            pressure = pressure_in(&mut v2, b"/memory.pressure");
        }
    }
    while percent != 0 && has_v1 && v1.group_or_parent() {
        add_level(&mut reading, &mut v1, &V1, percent);
    }
    if with_pressure {
        let system = || pressure_in(&mut Path::new(root, b"/proc/pressure/memory"), b"");
        reading.pressure = pressure.or_else(system).unwrap_or(0);
    }
    reading
}

/// Appends the groups of this process to the mount points. Returns whether version 1 controls memory; version 2 is then mounted beside
/// it.
///
/// The kernel lists the group of version 2 last. If it did not, the group of version 1 would not be found, and so no limit.
fn find_groups(root: &[u8], v1: &mut Path, v2: &mut Path) -> bool {
    let mut has_v1 = false;
    Path::new(root, b"/proc/self/cgroup").lines(b"", |line| match group_in(line) {
        Some((true, group)) => {
            v2.enter(group);
            true
        }
        Some((false, group)) => {
            has_v1 = true;
            v1.enter(group);
            *v2 = Path::new(root, MOUNT_BESIDE);
            false
        }
        None => false,
    });
    has_v1
}

/// The group in a line of /proc/self/cgroup, with true if it is the group of version 2 and false if it is the memory group of version
/// 1. `None` for other lines.
fn group_in(line: &[u8]) -> Option<(bool, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    let unified = number == b"0" && controllers.is_empty();
    let memory = controllers.split(|byte| *byte == b',').any(|controller| controller == b"memory");
    (unified || memory).then_some((unified, group))
}

/// Adds the limits of one group to the reading.
fn add_level(reading: &mut Reading, path: &mut Path, names: &Names, percent: usize) {
    let (high, max) = (limit_in(path, names.high), limit_in(path, names.max));
    reading.high = reading.high.min(high);
    reading.max = reading.max.min(max);
    let limit = high.min(if max == usize::MAX { max } else { max / 100 * percent });
    if limit == usize::MAX {
        return;
    }
    let Some(used) = number_in(path, names.used) else { return };
    let mut level = Reading { limit, used, ..*reading };
    // The kernel needs longer to say how much of this it can drop, so it is asked only where that matters.
    if level.is_near() {
        level.used = used.saturating_sub(droppable_in(path, names));
    }
    let over = |reading: &Reading| reading.used.saturating_sub(reading.limit);
    if reading.limit == usize::MAX || (level.room(), over(reading)) < (reading.room(), over(&level)) {
        *reading = level;
    }
}

/// The number in a file that contains nothing else.
fn number_in(path: &mut Path, file: &[u8]) -> Option<usize> {
    let mut found = None;
    path.lines(file, |line| {
        found = number(line);
        true
    });
    found
}

/// The limit in a file. `usize::MAX` for "max", and for the huge number by which version 1 says that there is no limit.
fn limit_in(path: &mut Path, file: &[u8]) -> usize {
    const NO_LIMIT_V1: usize = 1 << 62;
    number_in(path, file).filter(|number| *number < NO_LIMIT_V1).unwrap_or(usize::MAX)
}

/// How much memory the kernel can drop, by memory.stat.
fn droppable_in(path: &mut Path, names: &Names) -> usize {
    let (mut sum, mut left) = (0_usize, names.droppable.iter().filter(|key| !key.is_empty()).count());
    path.lines(b"/memory.stat", |line| {
        let mut words = line.splitn(2, |byte| *byte == b' ');
        if let (Some(key), Some(value)) = (words.next(), words.next())
            && !key.is_empty()
            && names.droppable.contains(&key)
        {
            sum = sum.saturating_add(number(value).unwrap_or(0));
            left -= 1;
        }
        left == 0
    });
    sum
}

/// The value "some avg10" of a pressure file, in hundredths of a percent; `None` where the file or the value is missing.
fn pressure_in(path: &mut Path, file: &[u8]) -> Option<usize> {
    let mut found = None;
    path.lines(file, |line| {
        if let Some(value) = line.strip_prefix(b"some avg10=") {
            found = value.split(|byte| *byte == b' ').next().and_then(hundredths);
        }
        found.is_some()
    });
    found
}

/// The number in a text of decimal digits and nothing else.
fn number(text: &[u8]) -> Option<usize> {
    let digit = |sum: Option<usize>, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        sum?.checked_mul(10)?.checked_add(digit)
    };
    if text.is_empty() { None } else { text.iter().fold(Some(0), digit) }
}

/// A hundred times a number with two digits behind its point, which is how the kernel prints a percentage.
fn hundredths(text: &[u8]) -> Option<usize> {
    let point = text.iter().position(|byte| *byte == b'.')?;
    let (whole, rest) = (number(&text[..point])?, &text[point + 1..]);
    if rest.len() == 2 { whole.checked_mul(100)?.checked_add(number(rest)?) } else { None }
}

/// Bytes of the longest line and of the longest path; longer ones count as missing. Both are on the stack of the caller.
const LONGEST: usize = 512;

/// A path in a buffer: a mount point, then a group, then a file.
struct Path {
    bytes: [u8; LONGEST],
    /// Length of the mount point.
    mount: usize,
    /// Length of the whole path.
    length: usize,
    /// Whether the walk upwards has begun.
    entered: bool,
}

impl Path {
    fn new(root: &[u8], mount: &[u8]) -> Path {
        let mut path = Path { bytes: [0; LONGEST], mount: 0, length: 0, entered: false };
        path.append(root);
        path.append(mount);
        path.mount = path.length;
        path
    }

    /// Appends `text` if there is room for all of it and a zero. Returns whether there is.
    fn append(&mut self, text: &[u8]) -> bool {
        let end = self.length + text.len();
        let fits = end < LONGEST;
        if fits {
            self.bytes[self.length..end].copy_from_slice(text);
            self.length = end;
        }
        fits
    }

    /// Goes to `group` below the mount point. The path of a group outside the process's namespace contains "..": such a group does not
    /// exist below the mount point, so the path stays there.
    fn enter(&mut self, group: &[u8]) {
        self.length = self.mount;
        let outside = group.split(|byte| *byte == b'/').any(|name| name == b"..");
        if group != b"/" && !outside {
            self.append(group);
        }
    }

    /// Stays at the group at the first call, and goes to the parent at each later one. False above the mount point.
    fn group_or_parent(&mut self) -> bool {
        if core::mem::replace(&mut self.entered, true) {
            if self.length <= self.mount {
                return false;
            }
            let parent = self.bytes[..self.length].iter().rposition(|byte| *byte == b'/');
            self.length = parent.unwrap_or(0).max(self.mount);
        }
        true
    }

    /// Calls `see` with each line of `file` in this folder, until `see` returns true for "enough". The path is the same afterwards.
    fn lines(&mut self, file: &[u8], see: impl FnMut(&[u8]) -> bool) {
        let length = self.length;
        let fits = self.append(file);
        self.bytes[self.length] = 0;
        self.length = length;
        if let Some(path) = CStr::from_bytes_until_nul(&self.bytes).ok().filter(|_| fits) {
            file::lines::<LONGEST>(path, see);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::string::String;
    use std::{env, format, fs, process};

    /// A directory that stands in for the system's root. It is removed when it is dropped.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str, files: &[(&str, &str)]) -> Fake {
            let root = env::temp_dir().join(format!("hakmem-cgroup-{name}-{}", process::id()));
            let fake = Fake(root);
            files.iter().for_each(|(path, contents)| fake.write(path, contents));
            fake
        }

        fn write(&self, path: &str, contents: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
            fs::write(path, contents).expect("a file");
        }

        fn read(&self, percent: usize) -> Reading {
            read(self.0.to_str().expect("a path").as_bytes(), percent, true)
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const STAT: &str = "anon 500\nfile 99\nactive_file 30\ninactive_file 60\nslab_reclaimable 10\nslab 4\n";

    #[test]
    fn version_2_is_read_up_to_the_mount_point() {
        let fake = Fake::new(
            "v2",
            &[
                ("proc/self/cgroup", "0::/a.slice/b.service\n"),
                ("sys/fs/cgroup/a.slice/memory.max", "2000\n"),
                ("sys/fs/cgroup/a.slice/memory.high", "1900\n"),
                ("sys/fs/cgroup/a.slice/memory.current", "1000\n"),
                ("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n"),
                ("sys/fs/cgroup/a.slice/b.service/memory.high", "800\n"),
                ("sys/fs/cgroup/a.slice/b.service/memory.current", "900\n"),
                ("sys/fs/cgroup/a.slice/b.service/memory.stat", STAT),
                (
                    "sys/fs/cgroup/memory.pressure",
                    "some avg10=12.34 avg60=1.00 avg300=0.00 total=9\nfull avg10=99.99\n",
                ),
            ],
        );
        assert_eq!(fake.read(90), Reading { high: 800, max: 2000, limit: 800, used: 800, pressure: 1234 });
        // The limit is lowered while the process runs; now the group around is the nearer one, by its maximum.
        fake.write("sys/fs/cgroup/a.slice/memory.max", "1000\n");
        assert_eq!(fake.read(50), Reading { high: 800, max: 1000, limit: 500, used: 1000, pressure: 1234 });
        let off = Reading { pressure: 1234, ..Reading::NOTHING };
        assert_eq!(fake.read(0), off, "limits that are not to be followed are not read");
        assert_eq!(read(fake.0.to_str().expect("a path").as_bytes(), 0, false), Reading::NOTHING);
    }

    #[test]
    fn what_can_be_dropped_does_not_bring_a_limit_near() {
        let fake = Fake::new(
            "near",
            &[
                ("proc/self/cgroup", "0::/\n"),
                ("sys/fs/cgroup/memory.high", "800\n"),
                ("sys/fs/cgroup/memory.current", "700\n"),
            ],
        );
        assert!(fake.read(90).is_near());
        fake.write("sys/fs/cgroup/memory.stat", STAT);
        let reading = fake.read(90);
        assert_eq!((reading.used, reading.is_near()), (600, false));
        fake.write("sys/fs/cgroup/memory.current", "699\n");
        let reading = fake.read(90);
        assert_eq!((reading.used, reading.is_near()), (699, false), "far from the limit that is not asked");
        assert!(!Reading::NOTHING.is_near());
    }

    #[test]
    fn version_1_is_read_where_it_has_memory() {
        let fake = Fake::new(
            "v1",
            &[
                ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/beside\n"),
                // Inside of a container the group's path is the host's; what is mounted is the group itself.
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"),
                ("sys/fs/cgroup/memory/memory.soft_limit_in_bytes", "9223372036854771712\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "990\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_active_file 100\ntotal_inactive_file 200\nactive_file 5\n"),
                ("sys/fs/cgroup/unified/beside/memory.pressure", "some avg10=0.07 avg60=0.00\n"),
                ("proc/pressure/memory", "some avg10=50.00 avg60=0.00\n"),
            ],
        );
        assert_eq!(fake.read(90), Reading { high: usize::MAX, max: 1000, limit: 900, used: 690, pressure: 7 });
    }

    #[test]
    fn what_is_missing_or_broken_says_nothing() {
        assert_eq!(Fake::new("none", &[]).read(90), Reading::NOTHING);
        let long = format!("0::/{}\n", "deep/".repeat(90));
        let broken: [(&str, &str, &str); 6] = [
            ("proc/self/cgroup", "nonsense\n::\n0::\n", "text"),
            ("proc/self/cgroup", "0::/../../other\n", "outside of the namespace"),
            ("proc/self/cgroup", &long, "a path too long"),
            ("sys/fs/cgroup/memory.max", "-5\n", "negative"),
            ("sys/fs/cgroup/memory.max", "", "empty"),
            ("sys/fs/cgroup/memory.pressure", "some avg10=1000\n", "no fraction"),
        ];
        for (path, contents, what) in broken {
            let fake = Fake::new("broken", &[("proc/self/cgroup", "0::/\n"), (path, contents)]);
            assert_eq!(fake.read(90), Reading::NOTHING, "{what}");
        }
    }

    #[test]
    fn a_limit_without_usage_is_reported_and_nothing_is_near_it() {
        let fake = Fake::new("unused", &[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "4096\n")]);
        assert_eq!(fake.read(90), Reading { max: 4096, ..Reading::NOTHING });
    }

    #[test]
    fn the_system_s_own_pressure_stands_in_where_the_group_has_none() {
        let text = String::from("some avg10=3.50 avg60=0.00\n");
        let fake = Fake::new("system", &[("proc/self/cgroup", "0::/\n"), ("proc/pressure/memory", &text)]);
        assert_eq!(fake.read(90).pressure, 350);
    }
}
