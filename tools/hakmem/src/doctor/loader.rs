//! What the dynamic linker loads for a program under the preload, asked of the linker itself. No code of the program
//! runs for that.

use crate::library;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries that `linker` would load for `program` with `library` in front, in the order in which symbols are
/// looked up. A library that is nowhere is an error.
pub fn list(linker: &Path, program: &Path, library: &Path) -> Result<Vec<PathBuf>> {
    let answer = Command::new(linker)
        .arg("--list")
        .arg(program)
        .env(library::PRELOAD, library::preload(library))
        .output()
        .with_context(|| format!("{} cannot be run", linker.display()))?;
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr).trim().replace('\n', "; "));
    Ok(parse(&String::from_utf8_lossy(&answer.stdout)))
}

/// Reads lines such as `libc.so.6 => /lib/libc.so.6 (0x7f..)` and `/lib/a.so (0x7f..)`; what has no file is the kernel's.
fn parse(text: &str) -> Vec<PathBuf> {
    let file = |line: &str| {
        let target = line.split_once(" => ").map_or(line, |(_, target)| target).trim();
        let (file, _address) = target.rsplit_once(" (0x")?;
        file.starts_with('/').then(|| PathBuf::from(file))
    };
    text.lines().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_list_is_read_in_order() {
        let loaded = parse(
            "\tlinux-vdso.so.1 (0x00007ffc)\n\t/opt/a b/libhakmem.so (0x00007f00)\n\
             \tlibc.so.6 => /lib/libc.so.6 (0x00007f01)\n",
        );
        assert_eq!(loaded, [Path::new("/opt/a b/libhakmem.so"), Path::new("/lib/libc.so.6")]);
    }
}
