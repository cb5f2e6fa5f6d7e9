//! The files of the workspace.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Breach;

/// Longest source file, in lines.
pub const LONGEST_FILE: usize = 600;

const SOURCES: [&str; 8] = ["rs", "c", "h", "cc", "cpp", "hpp", "py", "sh"];

/// The workspace's root, of the clone that is tested rather than of the one this was compiled in: they may share what is
/// built.
pub fn root() -> PathBuf {
    let crate_folder =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    crate_folder.ancestors().nth(2).expect("this crate lies two folders below the root").to_path_buf()
}

/// Every file of the project in a fixed order, relative to `root`; what is built, fetched or hidden by an editor is not
/// part of it.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries.map(|entry| entry.expect("a readable folder entry")) {
            let (path, kind) = (entry.path(), entry.file_type().expect("a known kind of file"));
            let name = entry.file_name();
            if kind.is_file() {
                found.push(path.strip_prefix(root).expect("a path below the root").to_path_buf());
            } else if kind.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file below `folder`, relative to `root`.
pub fn rust_files(root: &Path, folder: &str) -> Vec<PathBuf> {
    let mut found = files(root);
    found.retain(|path| path.starts_with(folder) && has_extension(path, &["rs"]));
    found
}

/// Source files that are too long to be about one thing.
pub fn too_long(file: &Path, text: &str) -> Option<Breach> {
    let lines = text.lines().count();
    (lines > LONGEST_FILE && is_source(file, text)).then(|| Breach {
        file: file.to_path_buf(),
        line: lines,
        message: format!("{lines} lines, at most {LONGEST_FILE}: split the file into parts with one subject each"),
    })
}

/// Lines that name a folder of one person's machine.
pub fn home_paths(file: &Path, text: &str) -> Vec<Breach> {
    // Put together here, or this file would break its own rule.
    let homes = [["/home", "/"].concat(), ["/root", "/"].concat(), ["/Users", "/"].concat()];
    let numbered = text.lines().zip(1..);
    let bad = numbered.filter(|(line, _)| homes.iter().any(|home| names_path(line, home)));
    bad.map(|(line, number)| Breach {
        file: file.to_path_buf(),
        line: number,
        message: format!("a path of one machine, make it relative: {}", line.trim()),
    })
    .collect()
}

/// Whether `line` has `home` at the start of a path and not in the middle of one (`target/home/...`).
fn names_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-$}".contains(c)))
}

fn is_source(file: &Path, text: &str) -> bool {
    has_extension(file, &SOURCES) || text.starts_with("#!")
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_of_601_lines_is_too_long_and_a_table_of_data_is_not() {
        let text = "x\n".repeat(LONGEST_FILE + 1);
        assert_eq!(too_long(Path::new("a.rs"), &text).map(|breach| breach.line), Some(LONGEST_FILE + 1));
        assert_eq!(too_long(Path::new("a.csv"), &text), None);
        assert_eq!(too_long(Path::new("a.rs"), &text[2..]), None);
        assert!(too_long(Path::new("scripts/run"), &format!("#!/bin/bash\n{text}")).is_some());
    }

    #[test]
    fn a_home_folder_is_found_with_its_line() {
        let text = ["fine\ncd /home", "/ann/src\ntarget/home", "/x"].concat();
        let breaches = home_paths(Path::new("scripts/run"), &text);
        assert_eq!(breaches.iter().map(|breach| breach.line).collect::<Vec<_>>(), [2]);
    }
}
