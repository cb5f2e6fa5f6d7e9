//! The order of the modules inside a crate: each may name the modules below it, none above.
//!
//! The order is the numbered list in the crate's own documentation, bottom-up:
//!
//! ```text
//! //! 1. `sizes` - size classes and their proofs
//! //! 2. `pagemap` - from an address to its owner
//! ```

use crate::Breach;
use crate::source::{Source, Token, texts};

/// The modules of a crate, bottom-up.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    modules: Vec<String>,
}

impl Order {
    /// Reads the list in the documentation of `root`, the crate's `lib.rs`.
    pub fn read(root: &Source) -> Result<Order, Breach> {
        let mut modules = Vec::new();
        for doc in &root.docs {
            let Some((number, rest)) = doc.text.split_once(". ") else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            let problem = |message: String| Breach { file: root.path.clone(), line: doc.line, message };
            if number != modules.len() + 1 {
                return Err(problem(format!("number {number} where {} comes next", modules.len() + 1)));
            }
            let name = rest.strip_prefix('`').and_then(|rest| rest.split_once("` - "));
            let Some((name, _)) = name else {
                return Err(problem("a layer is written: //! 1. `name` - what it is".into()));
            };
            modules.push(name.to_string());
        }
        if modules.is_empty() {
            let message =
                "no list of layers in the module documentation, bottom-up, written: //! 1. `name` - what it is";
            return Err(Breach { file: root.path.clone(), line: 1, message: message.into() });
        }
        Ok(Order { modules })
    }

    /// The layer that `module` belongs to: the longest listed name it starts with.
    fn layer(&self, module: &[String]) -> Option<usize> {
        (1..=module.len()).rev().find_map(|length| {
            let name = module[..length].join("::");
            self.modules.iter().position(|listed| *listed == name)
        })
    }

    /// Everything in the crate that breaks the order.
    pub fn check(&self, sources: &[Source]) -> Vec<Breach> {
        let mut breaches: Vec<Breach> = sources.iter().flat_map(|source| self.check_file(source)).collect();
        let modules: Vec<String> =
            sources.iter().flat_map(|source| &source.tokens).map(|token| token.module.join("::")).collect();
        let gone = self.modules.iter().filter(|listed| !modules.contains(listed));
        breaches.extend(gone.map(|listed| Breach {
            file: sources[0].path.clone(),
            line: 1,
            message: format!("the list of layers has `{listed}`, the crate has not"),
        }));
        breaches
    }

    fn check_file(&self, source: &Source) -> Vec<Breach> {
        let breach = |line, message| Breach { file: source.path.clone(), line, message };
        let mut breaches = Vec::new();
        let mut unlisted = None;
        for reference in references(source) {
            let own = self.layer(&reference.from);
            if own.is_none() {
                // The root may name everything; any other module without a layer is reported once.
                if let Some(module) = reference.from.first().filter(|module| unlisted.as_ref() != Some(*module)) {
                    breaches
                        .push(breach(reference.line, format!("module `{module}` has no place in the list of layers")));
                    unlisted = Some(module.clone());
                }
                continue;
            }
            let target = reference.to.join("::");
            match self.layer(&reference.to) {
                Some(used) if Some(used) <= own => {}
                Some(used) => {
                    let (own, used) = (own.map_or("", |own| &self.modules[own]), &self.modules[used]);
                    let message = format!("`{own}` uses `{used}`, a layer above it: {target}");
                    breaches.push(breach(reference.line, message));
                }
                None => {
                    let message =
                        format!("`crate::{target}` is in no listed layer: name the module where it is defined");
                    breaches.push(breach(reference.line, message));
                }
            }
        }
        breaches
    }
}

/// Places where `source`, a file of the box `own`, names another box or crate of the project.
pub fn outside(source: &Source, own: &str) -> Vec<Breach> {
    let breach = |line, what: &str| Breach {
        file: source.path.clone(),
        line,
        message: format!("`{own}` uses nothing of the other boxes, but: {what}"),
    };
    let mut references = references(source);
    references.retain(|reference| reference.to.first().is_none_or(|module| module != own));
    let boxes =
        references.iter().map(|reference| breach(reference.line, &format!("crate::{}", reference.to.join("::"))));
    let shipped = source.shipped().into_iter().filter(|token| token.text.starts_with("hakmem_"));
    boxes.chain(shipped.map(|token| breach(token.line, &token.text))).collect()
}

/// One mention of something of the own crate in shipped code.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    from: Vec<String>,
    /// From the crate's root.
    to: Vec<String>,
    line: usize,
}

/// Every path that starts with `crate::` or climbs with `super::`.
fn references(source: &Source) -> Vec<Reference> {
    let tokens = source.shipped();
    let words = texts(&tokens);
    let mut found = Vec::new();
    let mut at = 0;
    while at + 1 < words.len() {
        let start = at;
        let mut base: Vec<String> = match (words[at], words[at + 1]) {
            ("crate", "::") => Vec::new(),
            ("super", "::") => tokens[at].module.to_vec(),
            _ => {
                at += 1;
                continue;
            }
        };
        while words.get(at) == Some(&"super") && words.get(at + 1) == Some(&"::") {
            base.pop();
            at += 2;
        }
        at += if words[start] == "crate" { 2 } else { 0 };
        at = leaves(&tokens, &words, at, &base, &mut found);
    }
    found
}

/// Adds every path of the tree that starts at `at` below `base`, and says where the tree ends.
fn leaves(tokens: &[&Token], words: &[&str], at: usize, base: &[String], found: &mut Vec<Reference>) -> usize {
    let Some(&word) = words.get(at) else { return at };
    let add = |to: Vec<String>, found: &mut Vec<Reference>| {
        found.push(Reference { from: tokens[at].module.to_vec(), to, line: tokens[at].line });
    };
    if word == "{" {
        let mut at = at + 1;
        while at < words.len() && words[at] != "}" {
            at = leaves(tokens, words, at, base, found).max(at + 1);
            at += usize::from(words.get(at) == Some(&","));
        }
        return at + 1;
    }
    if word == "self" || !word.starts_with(|first: char| first.is_alphabetic() || first == '_') {
        add(base.to_vec(), found);
        return at + 1;
    }
    let path: Vec<String> = base.iter().cloned().chain([word.to_string()]).collect();
    if words.get(at + 1) == Some(&"::") {
        return leaves(tokens, words, at + 2, &path, found);
    }
    add(path, found);
    // `name as other` inside braces.
    at + if words.get(at + 1) == Some(&"as") { 3 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const LIST: &str = "//! A crate.\n//!\n//! 1. `low` - below\n//! 2. `mid` - between\n//! 3. `top` - above\n";

    fn source(module: &[&str], text: &str) -> Source {
        let module: Vec<String> = module.iter().map(|name| name.to_string()).collect();
        Source::parse(Path::new("a.rs"), text, &module, false)
    }

    /// The lines of `text`, as the module `mid`, that break the order.
    fn lines(text: &str) -> Vec<usize> {
        let order = Order::read(&source(&[], LIST)).expect("a good list");
        order.check_file(&source(&["mid"], text)).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn modules_may_name_those_below_and_themselves() {
        assert_eq!(lines("use crate::low::A;\nuse crate::mid::B;\nuse super::low;\nuse core::fmt;"), [0; 0]);
    }

    #[test]
    fn naming_a_module_above_is_found_however_it_is_written() {
        let text =
            "use crate::top;\nuse crate::{low, top::{self, A}};\nfn f() { crate::top::g() }\nuse super::top::T as U;\n
            mod inner { use super::super::top; }\npub use crate::low::{A as B, C};";
        assert_eq!(lines(text), [1, 2, 2, 3, 4, 6]);
    }

    #[test]
    fn names_at_the_root_hide_their_module_and_are_refused() {
        assert_eq!(lines("use crate::Thing;\nuse crate::*;"), [1, 2]);
    }

    #[test]
    fn visibility_and_test_code_are_left_alone() {
        assert_eq!(
            lines("pub(crate) fn f() {}\npub(in crate::mid) fn g() {}\n#[cfg(test)]\nmod tests { use crate::top; }"),
            [0; 0]
        );
    }

    #[test]
    fn the_root_may_name_everything() {
        let order = Order::read(&source(&[], LIST)).expect("a good list");
        assert_eq!(order.check_file(&source(&[], "pub use crate::top::A;")), []);
    }

    #[test]
    fn a_module_without_a_place_and_a_place_without_a_module_are_found() {
        let order = Order::read(&source(&[], LIST)).expect("a good list");
        let found = order.check(&[
            source(&["low"], "fn f() {}"),
            source(&["new"], "use crate::low;"),
            source(&["top"], "fn f() {}"),
        ]);
        let messages: Vec<&str> = found.iter().map(|breach| breach.message.as_str()).collect();
        assert_eq!(
            messages,
            ["module `new` has no place in the list of layers", "the list of layers has `mid`, the crate has not"]
        );
    }

    #[test]
    fn a_bad_list_is_refused_with_its_line() {
        for (list, line) in [("//! A crate.", 1), ("//! 1. `a` - x\n//! 3. `b` - y", 2), ("//! 1. a: x", 1)] {
            assert_eq!(Order::read(&source(&[], list)).map_err(|breach| breach.line), Err(line), "{list}");
        }
    }

    #[test]
    fn a_box_that_names_another_is_found() {
        let policy = source(
            &["policy", "settings"],
            "use super::Snapshot;\nuse crate::heap;\nuse super::super::spans;\nuse hakmem_os::vm;",
        );
        assert_eq!(outside(&policy, "policy").iter().map(|breach| breach.line).collect::<Vec<_>>(), [2, 3, 4]);
    }
}
