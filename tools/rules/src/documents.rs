//! The files that the documents name: each exists.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::Breach;

/// Endings by which a word is taken for a file of the project, with or without a folder before it.
const ENDINGS: [&str; 11] = ["c", "cc", "h", "json", "lock", "md", "py", "rs", "sh", "toml", "yml"];

/// The files and folders of the project.
pub struct Known {
    paths: BTreeSet<PathBuf>,
}

impl Known {
    /// What is known from a list of all files, relative to the root.
    pub fn new(files: &[PathBuf]) -> Known {
        let with_folders = files.iter().flat_map(|file| file.ancestors().map(Path::to_path_buf));
        Known { paths: with_folders.collect() }
    }

    /// Places in the document `file` that name a file there is not: the target of a link, or a word in backticks or in a block
    /// of commands.
    pub fn missing(&self, file: &Path, text: &str) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut in_block = false;
        for (line, number) in text.lines().zip(1..) {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
                continue;
            }
            let missing: Vec<&str> = match in_block {
                // Commands may name any file, so only what can be nothing but one of the project has to be there.
                true => words(line).filter(|word| self.is_ours(word) && !self.has(word, file)).collect(),
                false => {
                    let linked = targets(line).filter(|target| !self.has_beside(target, file));
                    let named = spans(line).flat_map(words);
                    linked.chain(named.filter(|word| self.is_named(word) && !self.has(word, file))).collect()
                }
            };
            breaches.extend(missing.into_iter().map(|path| Breach {
                file: file.to_path_buf(),
                line: number,
                message: format!("there is no {path}"),
            }));
        }
        breaches
    }

    /// Whether a word in backticks is meant as a file of the project.
    fn is_named(&self, word: &str) -> bool {
        let ending = Path::new(word).extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        let has_name = Path::new(word).file_stem().is_some_and(|stem| !stem.to_string_lossy().starts_with('.'));
        is_path(word) && (ending && has_name || word.ends_with('/') || self.is_in_project(word))
    }

    /// Whether a word in a block of commands, or in a drawing, is meant as a file of the project.
    fn is_ours(&self, word: &str) -> bool {
        self.is_in_project(word) || is_path(word) && word.ends_with(".rs") && word.len() > ".rs".len()
    }

    /// Whether a word begins with a folder at the root of the project.
    fn is_in_project(&self, word: &str) -> bool {
        let first = word.split_once('/').map_or("", |(first, _)| first);
        is_path(word) && !first.is_empty() && self.paths.contains(Path::new(first))
    }

    /// Whether the file is there: from the root, from the document's folder, or as the end of a path.
    fn has(&self, word: &str, document: &Path) -> bool {
        let word = word.trim_end_matches('/');
        self.has_beside(word, document) || self.paths.iter().any(|path| path.ends_with(word))
    }

    fn has_beside(&self, target: &str, document: &Path) -> bool {
        let mut path = document.parent().map(Path::to_path_buf).unwrap_or_default();
        for part in Path::new(target).components() {
            match part {
                Component::ParentDir if !path.pop() => return false,
                Component::ParentDir | Component::CurDir => {}
                part => path.push(part),
            }
        }
        self.paths.contains(&path)
    }
}

/// Whether a word is a path and nothing else: relative, without a place holder.
fn is_path(word: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-/+".contains(character);
    word.chars().all(plain) && !word.starts_with(['/', '-'])
}

/// The words of a command. `file.rs:12` and `file.rs::name` name the file.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character.is_whitespace() || "=\"'();,".contains(character))
        .map(|word| word.split_once(':').map_or(word, |(file, _)| file).trim_end_matches('.'))
        .filter(|word| !word.is_empty())
}

/// What stands between backticks.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of links that lead to a file, without the heading.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    // What is in backticks may look like a link.
    let prose = line.split('`').step_by(2).flat_map(|prose| prose.split("](").skip(1));
    let targets = prose.filter_map(|rest| rest.split_once(')'));
    let files = targets.map(|(target, _)| target.split_once('#').map_or(target, |(file, _)| file));
    files.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the document `docs/a.md` names that is not there.
    fn missing(text: &str) -> Vec<usize> {
        let files =
            ["README.md", "docs/a.md", "docs/b.md", "crates/core/src/heap/mod.rs", "scripts/test", "tests/c/x.c"];
        let known = Known::new(&files.map(PathBuf::from));
        known.missing(Path::new("docs/a.md"), text).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_link_leads_to_a_file_from_where_the_document_is() {
        assert_eq!(missing("[b](b.md), [r](../README.md#top) and [w](https://b.org/x.md), [here](#top)"), [0; 0]);
        assert_eq!(missing("[b](docs/b.md)\n[x](../../x.md)\n[c](b.md) [c](c.md#top)"), [1, 2, 3]);
    }

    #[test]
    fn a_name_in_backticks_is_the_end_of_a_path_that_exists() {
        assert_eq!(
            missing("`heap/mod.rs`, `mod.rs:12`, `tests/c/`, `scripts/test fast`, `x.c`, `docs`, `heap/`"),
            [0; 0]
        );
        let wrong = "`ap/mod.rs`\n`heap/free.rs`\n`scripts/tests fast`\n`bash scripts/no`\n`y.c`\n`heaps/`";
        assert_eq!(missing(wrong), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_no_file_of_the_project_is_left_alone() {
        assert_eq!(missing("`a/b`, `/proc/x.c`, `tests/*.c`, `.rs`, `malloc`, `<x.h>`, `a[](int)`"), [0; 0]);
    }

    #[test]
    fn a_block_of_commands_names_files_of_the_project() {
        assert_eq!(
            missing("```\npython3 app.py\nscripts/test\nscripts/no\nheap/mod.rs heap/x.rs\n```\n`y.c`"),
            [4, 5, 7]
        );
    }
}
