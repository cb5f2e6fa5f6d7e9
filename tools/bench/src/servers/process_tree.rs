//! A process with all its descendants: what they have in memory together, and their end.
//!
//! Memory is the proportional set size: pages that processes share, such as PostgreSQL's buffers, count once, divided
//! among those that have them. The sum of resident sizes would count them once for each process.
//!
//! # Safety
//! Signals to processes that were found below one that this process started and has not waited for.

use std::{collections::HashMap, fs};

/// What the processes of a tree have in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TreeMemory {
    /// The sum of their proportional set sizes.
    pub pss_kib: u64,
    /// The highest resident size that any of them ever had.
    pub highest_rss_kib: u64,
}

/// A process and its descendants.
#[derive(Clone, Copy, Debug)]
pub struct ProcessTree {
    /// The process on top.
    pub root: libc::pid_t,
}

impl ProcessTree {
    /// The processes as of now, the root first.
    pub fn processes(self) -> Vec<libc::pid_t> {
        let mut children: HashMap<libc::pid_t, Vec<libc::pid_t>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that has ended since has no such file.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            if let Some(parent) = parent(&stat) {
                children.entry(parent).or_default().push(process);
            }
        }
        let mut processes = vec![self.root];
        let mut next = 0;
        while let Some(process) = processes.get(next) {
            let below = children.remove(process).unwrap_or_default();
            processes.extend(below);
            next += 1;
        }
        processes
    }

    /// What they have in memory.
    pub fn memory(self) -> TreeMemory {
        let mut memory = TreeMemory::default();
        for process in self.processes() {
            let read = |file| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
            memory.pss_kib += kib_after(&read("smaps_rollup"), "Pss:").unwrap_or(0);
            memory.highest_rss_kib = memory.highest_rss_kib.max(kib_after(&read("status"), "VmHWM:").unwrap_or(0));
        }
        memory
    }

    /// Kills them all. The root must not have been waited for.
    pub fn kill(self) {
        for process in self.processes() {
            // SAFETY: a signal to a process below the root, which still has its number.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
    }
}

/// The parent in a line of /proc/PID/stat: the second field after the name, which stands in brackets and may hold any.
fn parent(stat: &str) -> Option<libc::pid_t> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The number of KiB in the line that begins with `label`.
fn kib_after(text: &str, label: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(label))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        assert_eq!(parent("17 (a) b (c)) S 4 17 17 0 -1"), Some(4));
        assert_eq!(parent("17 (a"), None);
    }

    #[test]
    fn kib_are_read_from_the_line_of_their_label() {
        let text = "Rss:    12 kB\nPss:            1234 kB\nPss_Anon:  7 kB\n";
        assert_eq!(kib_after(text, "Pss:"), Some(1234));
        assert_eq!(kib_after(text, "VmHWM:"), None);
    }

    #[test]
    fn a_tree_has_its_grandchildren_and_their_memory_and_is_killed_with_them() {
        let mut shell = Command::new("sh");
        // The shell says when its own child, a second shell with a child, is there.
        shell.args(["-c", "sh -c 'sleep 1000 & echo there; wait' & wait"]).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
        let tree = ProcessTree { root: child.id() as libc::pid_t };
        let processes = tree.processes();
        assert_eq!((processes.len(), processes[0]), (3, tree.root), "{processes:?}");
        let memory = tree.memory();
        assert!(memory.pss_kib > 0 && memory.highest_rss_kib > 0, "{memory:?}");
        tree.kill();
        assert!(!child.wait().unwrap().success());
    }
}
