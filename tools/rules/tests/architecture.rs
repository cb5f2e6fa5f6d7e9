//! The allocator names no processor architecture outside one folder, neither in code nor in comments: another architecture can then
//! be added there and nowhere else.

use std::fs;
use std::path::Path;

use hakmem_rules::{Breach, expect_none, tree};

/// The folder of what differs from one architecture to another.
const ARCH: &str = "crates/hakmem-os/src/arch";

/// Assembly, and the ways to name an architecture.
const WORDS: [&str; 12] = [
    "asm!",
    "naked",
    "target_arch",
    "target_pointer_width",
    "target_endian",
    "target_feature",
    "core::arch",
    "x86",
    "amd64",
    "aarch64",
    "arm64",
    "riscv",
];

/// The lines of a file that name an architecture.
fn named(file: &Path, text: &str) -> Vec<Breach> {
    let in_line = |(number, line): (usize, &str)| {
        let line = line.to_lowercase();
        let word = WORDS.iter().find(|word| line.contains(*word))?;
        let message = format!("`{word}`: what depends on the architecture belongs in {ARCH}");
        Some(Breach { file: file.to_path_buf(), line: number + 1, message })
    };
    text.lines().enumerate().filter_map(in_line).collect()
}

#[test]
fn one_folder_names_architectures() {
    let root = tree::root();
    let sources = tree::rust_files(&root, "crates");
    assert!(sources.iter().any(|file| file.starts_with(ARCH)), "the folder has moved: this test looks in {ARCH}");
    let others = sources.into_iter().filter(|file| !file.starts_with(ARCH));
    let breaches = others.flat_map(|file| named(&file, &fs::read_to_string(root.join(&file)).expect("a source file")));
    expect_none("architectures are named in one folder:", &breaches.collect::<Vec<_>>());
}

#[test]
fn code_and_comments_that_name_an_architecture_are_found() {
    let text = "fn f() {\n    naked_asm!(\"ret\")\n}\n// On X86-64 alone.\n#[cfg(target_arch = \"x86_64\")]\nuse core::arch::asm;";
    let lines: Vec<usize> = named(Path::new("a.rs"), text).iter().map(|breach| breach.line).collect();
    assert_eq!(lines, [2, 4, 5, 6]);
    assert_eq!(named(Path::new("a.rs"), "use crate::arch::slot;\n#[cfg(target_os = \"linux\")]\nmod linux;"), []);
}
