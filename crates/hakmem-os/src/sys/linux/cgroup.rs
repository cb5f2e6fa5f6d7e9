//! What the system says about memory: the limits of the process's control group and of those around it, how much of them
//! is used, and how much time is lost to the shortage of it.
//!
//! Files and their meaning are those of the kernel's documentation, "Control Group v2", "Memory Resource Controller" (v1) and
//! "PSI". Where one is missing, unreadable or not what it should be, it says nothing: no limit, no pressure. The hierarchies
//! are looked for where systemd and every container runtime mount them, below /sys/fs/cgroup.
//!
//! A group's path is the host's where a container has no cgroup namespace, and is not there then; what a container sees at the
//! mount point is its own group. So the walk goes from the group upwards, takes what it finds, and ends at the mount point.

use crate::file;
use core::ffi::CStr;

/// What the system says, in bytes; `usize::MAX` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Above this the kernel slows the group down: the least `memory.high` on the way up, v1's soft limit.
    pub high: usize,
    /// Above this the kernel ends processes of the group: the least `memory.max` on the way up, v1's limit.
    pub max: usize,
    /// The share of the limits that was asked for, in the group that has the least room left up to it.
    pub limit: usize,
    /// What that group uses; where that is near the limit or above it, without what the kernel can drop, such as pages of files.
    pub used: usize,
    /// How much time some thread waits for memory, as a mean over ten seconds: hundredths of a percent.
    pub pressure: usize,
}

impl Reading {
    /// What a system without limits and without pressure says.
    pub const NOTHING: Reading = Reading { high: usize::MAX, max: usize::MAX, limit: usize::MAX, used: 0, pressure: 0 };

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// Whether what is left of the limit is an eighth of it or less.
    pub fn is_near(&self) -> bool {
        self.room() <= self.limit / 8
    }
}

/// The names that a version of control groups has for the same things.
struct Names {
    high: &'static [u8],
    max: &'static [u8],
    used: &'static [u8],
    /// Keys in memory.stat of what the kernel can drop.
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
/// Where version 1 has memory, and where version 2 is beside it.
const MOUNT_V1: &[u8] = b"/sys/fs/cgroup/memory";
const MOUNT_BESIDE: &[u8] = b"/sys/fs/cgroup/unified";

/// Reads all of it: the limits if `percent` of them, counted from their maximum, is to be compared, the pressure if asked for.
/// Paths begin with `root`: empty but in tests.
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

/// Adds this process's groups to the mount points; whether version 1 has memory, and then version 2 is mounted beside it.
///
/// The kernel tells version 2's group last. If it did not, version 1's would not be found, and neither would a limit.
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

/// The group in a line of /proc/self/cgroup, if it is that of version 2 (true) or of version 1's memory (false).
fn group_in(line: &[u8]) -> Option<(bool, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    let unified = number == b"0" && controllers.is_empty();
    let memory = controllers.split(|byte| *byte == b',').any(|controller| controller == b"memory");
    (unified || memory).then_some((unified, group))
}

/// Brings one group's limits into the reading.
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
    // Without what can be dropped it is less still; that costs the kernel more to say, so it is asked only where it matters.
    if level.is_near() {
        level.used = used.saturating_sub(droppable_in(path, names));
    }
    let over = |reading: &Reading| reading.used.saturating_sub(reading.limit);
    if reading.limit == usize::MAX || (level.room(), over(reading)) < (reading.room(), over(&level)) {
        *reading = level;
    }
}

/// The number in a file that has nothing else in it.
fn number_in(path: &mut Path, file: &[u8]) -> Option<usize> {
    let mut found = None;
    path.lines(file, |line| {
        found = number(line);
        true
    });
    found
}

/// The limit in a file; `usize::MAX` for "max" and for version 1's way to say it.
fn limit_in(path: &mut Path, file: &[u8]) -> usize {
    const NO_LIMIT_V1: usize = 1 << 62;
    number_in(path, file).filter(|number| *number < NO_LIMIT_V1).unwrap_or(usize::MAX)
}

/// The sum of what the kernel can drop, out of memory.stat.
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

/// "some avg10" of a pressure file, in hundredths of a percent; `None` where there is no such file, or one without it.
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

/// Decimal digits and nothing else.
fn number(text: &[u8]) -> Option<usize> {
    let digit = |sum: Option<usize>, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        sum?.checked_mul(10)?.checked_add(digit)
    };
    if text.is_empty() { None } else { text.iter().fold(Some(0), digit) }
}

/// A number with two digits behind the point, as the kernel prints it, times a hundred.
fn hundredths(text: &[u8]) -> Option<usize> {
    let point = text.iter().position(|byte| *byte == b'.')?;
    let (whole, rest) = (number(&text[..point])?, &text[point + 1..]);
    if rest.len() == 2 { whole.checked_mul(100)?.checked_add(number(rest)?) } else { None }
}

/// Bytes of the longest line and of the longest path; longer ones lead nowhere. They are on the stack of whoever looks.
const LONGEST: usize = 512;

/// A path in a buffer: a mount point, a group below it, a file in that.
struct Path {
    bytes: [u8; LONGEST],
    /// Length of the mount point.
    mount: usize,
    /// Length of all.
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

    /// Appends as far as there is room for all of it and a zero.
    fn append(&mut self, text: &[u8]) -> bool {
        let end = self.length + text.len();
        let fits = end < LONGEST;
        if fits {
            self.bytes[self.length..end].copy_from_slice(text);
            self.length = end;
        }
        fits
    }

    /// Goes to `group` below the mount point. A group outside of the process's namespace is told by dots: it is not there.
    fn enter(&mut self, group: &[u8]) {
        self.length = self.mount;
        let outside = group.split(|byte| *byte == b'/').any(|name| name == b"..");
        if group != b"/" && !outside {
            self.append(group);
        }
    }

    /// The group at the first call, its parent at each one after; false above the mount point.
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

    /// Calls `see` with the lines of `file` here until it has seen enough, if it can be read; the path stays as it is.
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

    /// A directory that stands for the system's root; it goes when dropped.
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
