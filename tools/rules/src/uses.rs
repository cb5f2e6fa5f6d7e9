//! What a file names of its own crate.

use crate::source::{Source, Token, texts};

/// One mention of something of the own crate in shipped code.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// The path from the crate's root; `*` at its end for all names.
    pub to: Vec<String>,
    /// The line, from 1.
    pub line: usize,
    /// The name by which the file knows it from then on, if a `use` brings it into the file's own module.
    pub alias: Option<String>,
    /// Passed on to others, as `pub use` does.
    pub exported: bool,
}

/// Every path that starts with `crate::`, climbs with `super::`, or goes down into one of `children`, the modules that the file
/// declares; and every mention of a name that such a path brought in by a `pub use`.
pub fn references(source: &Source, children: &[String]) -> Vec<Reference> {
    let tokens = source.shipped();
    let mut reader = Reader { words: texts(&tokens), tokens, children, own: &source.module, found: Vec::new() };
    let mut at = 0;
    while at < reader.words.len() {
        at = reader.step(at);
    }
    reader.mentions();
    reader.found
}

struct Reader<'a> {
    tokens: Vec<&'a Token>,
    words: Vec<&'a str>,
    children: &'a [String],
    own: &'a [String],
    found: Vec<Reference>,
}

impl Reader<'_> {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).copied().unwrap_or("")
    }

    fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |before| self.word(before))
    }

    /// Reads what is at `at` and says where to go on.
    fn step(&mut self, at: usize) -> usize {
        if self.word(at) == "use" && self.before(at) != "<" {
            let exported = matches!(self.before(at), "pub" | ")");
            // `{` of an outermost tree, or the leading `::` of a path to another crate.
            return self.path(at + 1, Some(exported));
        }
        let inside = matches!(self.before(at), "::" | "." | "in" | "mod" | "fn");
        if inside || self.word(at + 1) != "::" { at + 1 } else { self.path(at, None) }
    }

    /// Reads a path and what belongs to it: a whole tree of them where `exported` says that a `use` stands before it.
    fn path(&mut self, at: usize, exported: Option<bool>) -> usize {
        let module = self.tokens.get(at).map_or(Vec::new(), |token| token.module.to_vec());
        let (base, next) = match self.word(at) {
            "crate" => (Vec::new(), at + 2),
            "self" if self.word(at + 1) == "::" => (module, at + 2),
            "super" => {
                let (mut base, mut next) = (module, at);
                while self.word(next) == "super" {
                    base.pop();
                    next += 2;
                }
                (base, next)
            }
            name if module == self.own && self.children.iter().any(|child| child == name) => (module, at),
            _ => return at + 1,
        };
        self.tree(next, &base, exported)
    }

    /// Adds every path of the tree that starts at `at` below `base`, and says where the tree ends.
    fn tree(&mut self, at: usize, base: &[String], exported: Option<bool>) -> usize {
        let word = self.word(at);
        if word == "{" && exported.is_some() {
            let mut at = at + 1;
            while at < self.words.len() && self.word(at) != "}" {
                at = self.tree(at, base, exported).max(at + 1);
                at += usize::from(self.word(at) == ",");
            }
            return at + 1;
        }
        let path: Vec<String> = match word {
            "self" => base.to_vec(),
            _ => base.iter().cloned().chain([word.to_string()]).collect(),
        };
        if self.word(at + 1) == "::" && word != "*" {
            return self.tree(at + 2, &path, exported);
        }
        // `name as other`.
        let renamed = exported.is_some() && self.word(at + 1) == "as";
        let name = if renamed { Some(self.word(at + 2)) } else { path.last().map(String::as_str) };
        let known = exported.is_some() && *self.tokens[at].module == *self.own && name != Some("*");
        let alias = name.filter(|_| known).map(String::from);
        let line = self.tokens[at].line;
        self.found.push(Reference { to: path, line, alias, exported: exported == Some(true) });
        at + if renamed { 3 } else { 1 }
    }

    /// Adds the places where the file itself uses a name that it exports for another module: a type, or something called. A
    /// variable of the same name is neither.
    fn mentions(&mut self) {
        let exported: Vec<(String, Vec<String>)> = self
            .found
            .iter()
            .filter(|one| one.exported)
            .filter_map(|one| Some((one.alias.clone()?, one.to.clone())))
            .collect();
        let mut statement = false;
        for at in 0..self.words.len() {
            statement = self.word(at) == "use" || (statement && self.word(at) != ";");
            let name = self.word(at);
            let Some((_, to)) = exported.iter().find(|(alias, _)| alias == name) else { continue };
            let is_type = name.starts_with(char::is_uppercase);
            let is_called = self.word(at + 1) == "(";
            if statement || matches!(self.before(at), "::" | "." | "fn") || !(is_type || is_called) {
                continue;
            }
            let to = to.clone();
            self.found.push(Reference { to, line: self.tokens[at].line, alias: None, exported: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What the module `a::b`, which declares `child`, names in `text`.
    fn named(text: &str) -> Vec<String> {
        let source = Source::parse(Path::new("a/b.rs"), text, &["a".into(), "b".into()], false);
        references(&source, &["child".into()]).iter().map(|one| one.to.join("::")).collect()
    }

    #[test]
    fn paths_are_taken_from_the_root_wherever_they_stand() {
        assert_eq!(named("use crate::{x, y::{self, z as w}};"), ["x", "y", "y::z"]);
        assert_eq!(named("use super::x; use super::super::y::*; use self::z;"), ["a::x", "y::*", "a::b::z"]);
        assert_eq!(
            named("fn f(p: &crate::x::T) { super::y(); child::g(); m::child::h() }"),
            ["x::T", "a::y", "a::b::child::g"]
        );
        assert_eq!(
            named("mod inner { fn f() { super::x() } } use child::{i, j};"),
            ["a::b::x", "a::b::child::i", "a::b::child::j"]
        );
    }

    #[test]
    fn other_crates_and_local_names_are_no_references() {
        assert_eq!(
            named("use core::{fmt, ptr}; use other::child::x; fn f(child: u8) { child + core::x::y(); a.child() }"),
            [""; 0]
        );
    }

    #[test]
    fn a_name_that_is_exported_and_used_is_a_reference_of_its_own() {
        let source = Source::parse(
            Path::new("a.rs"),
            "pub use child::{T, f};\nfn g(f: u8) -> T { f }\nfn h() { f() }",
            &[],
            false,
        );
        let found = references(&source, &["child".into()]);
        let own: Vec<_> = found.iter().filter(|one| !one.exported).map(|one| one.line).collect();
        assert_eq!(own, [2, 3]);
    }
}
