//! The machine that a comparison ran on, so far as it matters to allocators.

use serde::{Deserialize, Serialize};
use std::{fs, thread};

/// What is recorded of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The CPU's own name.
    pub cpu: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// The kernel's mode for transparent huge pages.
    pub huge_pages: String,
}

impl Machine {
    /// Reads the facts from /proc, /sys and /etc; what cannot be read is "unknown".
    pub fn here() -> Self {
        let cpu = line_value("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
        let memory = line_value("/proc/meminfo", "MemTotal").unwrap_or_default();
        let memory: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let huge_pages = text("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_else(unknown);
        let chosen = huge_pages.split(['[', ']']).nth(1).unwrap_or(&huge_pages).to_owned();
        let system = line_value("/etc/os-release", "PRETTY_NAME").unwrap_or_else(unknown);
        Self {
            cpu,
            cpus: thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory / 1024,
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            system: system.trim_matches('"').to_owned(),
            huge_pages: chosen,
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn text(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The value of the first line `name: value` or `name=value` in a file.
fn line_value(path: &str, name: &str) -> Option<String> {
    let text = text(path)?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once([':', '=']).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn the_machine_names_its_parts() {
        let machine = Machine::here();
        assert!(machine.cpus >= 1 && machine.memory_mib > 0, "{machine:?}");
        assert!(!machine.huge_pages.contains('['), "{machine:?}");
    }
}
