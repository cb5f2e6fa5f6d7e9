//! The order of the modules inside a crate: each names those below it, none above, in every folder.
//!
//! The order is that of the declarations in `lib.rs` and in each `mod.rs`, bottom-up, so that it is written once:
//!
//! ```text
//! pub mod sizes; // size classes and their proofs
//! pub mod pagemap; // from an address to its owner
//! ```
//!
//! Two modules are compared where their paths part: `heap::alloc` may name `heap::free` when `heap/mod.rs` declares `free`
//! before `alloc`, and anything in `span` when `lib.rs` declares `span` before `heap`. A name that a folder re-exports counts
//! as the module that defines it. What a folder's own file defines lies either below the modules of the folder or above
//! them: if a module uses it, the file uses nothing of that module, and only re-exports its names. A call of a method counts as
//! the modules that define a method of this name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Breach;
use crate::methods::{self, Call};
use crate::source::Source;
use crate::uses::{Reference, references};

/// The modules of a crate that are files, by their paths from the crate's root.
pub struct Order<'a> {
    modules: BTreeMap<&'a [String], Module<'a>>,
}

struct Module<'a> {
    source: &'a Source,
    /// The modules of its folder, bottom-up.
    children: Vec<String>,
    /// Names that a `use` brings into the module, with the paths of what they stand for.
    imports: BTreeMap<String, Vec<String>>,
    references: Vec<Reference>,
    calls: Vec<Call>,
}

/// What a path leads to: something that a module's own file defines, or the module as a whole.
struct Target<'a> {
    module: &'a [String],
    whole: bool,
}

impl<'a> Order<'a> {
    /// The order of a crate, given its files.
    pub fn read(sources: &'a [Source]) -> Order<'a> {
        let modules = sources.iter().filter(|source| !source.test).map(|source| {
            let children = source.children();
            let references = references(source, &children);
            let imports = references.iter().filter_map(|one| Some((one.alias.clone()?, one.to.clone()))).collect();
            let calls = methods::called(source);
            (source.module.as_slice(), Module { source, children, imports, references, calls })
        });
        Order { modules: modules.collect() }
    }

    /// Everything that breaks the order.
    pub fn check(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (&from, module) in &self.modules {
            breaches.extend(module.references.iter().filter_map(|one| {
                let message = self.problem(from, one)?;
                Some(Breach { file: module.source.path.clone(), line: one.line, message })
            }));
        }
        breaches.extend(self.calls_upward());
        breaches
    }

    /// Calls of methods that only modules above the calling one define.
    fn calls_upward(&self) -> Vec<Breach> {
        let mut defined: BTreeMap<String, Vec<&[String]>> = BTreeMap::new();
        for (&path, module) in &self.modules {
            for name in methods::defined(module.source) {
                defined.entry(name).or_default().push(path);
            }
        }
        let mut breaches = Vec::new();
        for (&from, module) in &self.modules {
            breaches.extend(module.calls.iter().filter_map(|call| {
                let definitions = defined.get(&call.name)?;
                let above: Option<Vec<String>> =
                    definitions.iter().map(|definition| self.above(definition, from)).collect();
                let Call { name, line } = call;
                let message = format!("the method `{name}`: {}", above?.first()?);
                Some(Breach { file: module.source.path.clone(), line: *line, message })
            }));
        }
        breaches
    }

    /// Says so if `target` is a layer above `from`: where their paths part, it is declared after it.
    fn above(&self, target: &[String], from: &[String]) -> Option<String> {
        let shared = target.iter().zip(from).take_while(|(one, other)| one == other).count();
        let (used, own) = (target.get(shared)?, from.get(shared)?);
        let folder = &self.modules[&from[..shared]];
        let place = |name| folder.children.iter().position(|child| child == name);
        let file = folder.source.path.display();
        (place(used).is_none() || place(used) >= place(own))
            .then(|| format!("`{own}` uses `{used}`, a layer above it (declared after it in {file})"))
    }

    /// What is wrong with a reference that `from` makes.
    fn problem(&self, from: &[String], reference: &Reference) -> Option<String> {
        let target = self.resolve(&reference.to, 0);
        let shared = target.module.iter().zip(from).take_while(|(one, other)| one == other).count();
        let written = reference.to.join("::");
        match (target.module.get(shared), from.get(shared)) {
            (Some(_), Some(_)) => self.above(target.module, from).map(|problem| format!("{problem}: crate::{written}")),
            // A folder's own file uses one of the folder's modules.
            (Some(used), None) if !reference.exported => {
                let (file, line) = self.uses_own(used, from)?;
                let file = file.display();
                Some(format!(
                    "a circle: this file uses its module `{used}`, which uses it in {file}:{line}: crate::{written}"
                ))
            }
            (None, Some(_)) if target.whole => Some(format!(
                "`crate::{written}` is a folder this file is in, and hides its order: name the module that is meant"
            )),
            _ => None,
        }
    }

    /// Where a module below `folder`, called `child`, uses what the folder's own file defines.
    fn uses_own(&self, child: &str, folder: &[String]) -> Option<(&PathBuf, usize)> {
        let below = self.modules.iter().filter(|(path, _)| path.len() > folder.len() && path.starts_with(folder));
        let mut below = below.filter(|(path, _)| path[folder.len()] == child);
        below.find_map(|(_, module)| {
            let mut up = module.references.iter().filter(|one| {
                let target = self.resolve(&one.to, 0);
                target.module == folder && !target.whole
            });
            up.next().map(|one| (&module.source.path, one.line))
        })
    }

    /// Follows a path from the crate's root, through re-exports.
    fn resolve(&self, path: &[String], depth: usize) -> Target<'a> {
        let mut at: &'a [String] = self.modules.keys().next().expect("a crate has a root");
        for (index, name) in path.iter().enumerate() {
            if let Some((&next, _)) = self.modules.get_key_value(&path[..=index]) {
                at = next;
                continue;
            }
            // Imports may lead in a circle where a name is that of a function and of a module.
            let import = self.modules[at].imports.get(name).filter(|_| depth < 8);
            return match import {
                Some(import) => self.resolve(&[import.as_slice(), &path[index + 1..]].concat(), depth + 1),
                None => Target { module: at, whole: name == "*" },
            };
        }
        Target { module: at, whole: true }
    }
}

/// Places where `source`, a file of the box `own`, names another box or crate of the project.
pub fn outside(source: &Source, own: &str) -> Vec<Breach> {
    let breach = |line, what: &str| Breach {
        file: source.path.clone(),
        line,
        message: format!("`{own}` uses nothing of the other boxes, but: {what}"),
    };
    let mut references = references(source, &source.children());
    references.retain(|reference| reference.to.first().is_none_or(|module| module != own));
    let boxes =
        references.iter().map(|reference| breach(reference.line, &format!("crate::{}", reference.to.join("::"))));
    let shipped = source.shipped().into_iter().filter(|token| token.text.starts_with("hakmem_"));
    boxes.chain(shipped.map(|token| breach(token.line, &token.text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A crate of files, each with its module's path.
    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        let parse = |&(module, text): &(&str, &str)| {
            let path: Vec<String> = module.split("::").filter(|name| !name.is_empty()).map(String::from).collect();
            Source::parse(Path::new(module), text, &path, false)
        };
        files.iter().map(parse).collect()
    }

    /// Module and line of everything that breaks the order.
    fn broken(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let sources = sources(files);
        let breaches = Order::read(&sources).check();
        breaches.iter().map(|breach| (breach.file.display().to_string(), breach.line)).collect()
    }

    /// The lines of `text`, as the module `mid` between two others, that break the order.
    fn lines(text: &str) -> Vec<usize> {
        let root = "pub mod low; pub mod mid; pub mod top; pub use low::Low; pub use top::Top;";
        let found = broken(&[("", root), ("low", ""), ("mid", text), ("top", "")]);
        found.into_iter().map(|(_, line)| line).collect()
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
    fn a_name_that_the_root_exports_counts_as_its_module() {
        assert_eq!(lines("use crate::Low;\nuse crate::Top;\nuse super::Top as T;\nuse crate::*;"), [2, 3, 4]);
    }

    #[test]
    fn visibility_and_test_code_are_left_alone() {
        let text = "pub(crate) fn f() {}\npub(in crate::mid) fn g() {}\npub(super) fn h() {}
            #[cfg(test)]\nmod tests { use crate::top; }";
        assert_eq!(lines(text), [0; 0]);
    }

    const ROOT: (&str, &str) = ("", "pub mod low;\npub mod heap;");

    #[test]
    fn the_order_holds_inside_folders_too() {
        let heap = ("heap", "mod free;\nmod alloc;\nmod deep;\npub use alloc::allocate;");
        let files = |free, alloc, deep| {
            broken(&[
                ROOT,
                ("low", ""),
                heap,
                ("heap::free", free),
                ("heap::alloc", alloc),
                ("heap::deep", "mod one;\nmod two;"),
                ("heap::deep::one", deep),
                ("heap::deep::two", ""),
            ])
        };
        let down = "use crate::heap::free;\nuse super::free::f;\nuse crate::low::x;";
        assert_eq!(files("", down, "use super::super::alloc;\nuse crate::heap::allocate;"), []);
        let free = "use super::alloc;\nfn f() { crate::heap::alloc::g() }\nuse crate::heap::deep::one::h;";
        let up = files(free, "use crate::heap::free;", "use super::two::x;\nuse crate::heap::deep::two;");
        let expected =
            [("heap::deep::one", 1), ("heap::deep::one", 2), ("heap::free", 1), ("heap::free", 2), ("heap::free", 3)];
        assert_eq!(up, expected.map(|(file, line)| (file.to_string(), line)));
    }

    #[test]
    fn a_call_of_a_method_counts_as_the_module_that_defines_it() {
        let files = |low, heap| broken(&[ROOT, ("low", low), ("heap", heap)]);
        let (calls, defines) = ("fn f(x: X) {\nx.fill(1) }", "impl X { fn fill(&self, n: u8) {} }");
        assert_eq!(files(calls, defines), [("low".to_string(), 2)]);
        assert_eq!(files(defines, calls), []);
        // Which of two it is nobody can tell.
        assert_eq!(files("impl Y { fn fill(&self) {} } fn f(x: X) { x.fill(1) }", defines), []);
        assert_eq!(files("fn f(x: X) { x.fill; fill(x) }", defines), []);
    }

    #[test]
    fn a_lower_folder_names_nothing_of_an_upper_one() {
        let found = broken(&[
            ROOT,
            ("low", "mod a;"),
            ("low::a", "fn f() {}\nuse crate::heap::free::g;"),
            ("heap", "pub mod free;"),
            ("heap::free", "use crate::low::a::f;"),
        ]);
        assert_eq!(found, [("low::a".to_string(), 2)]);
    }

    #[test]
    fn a_name_that_a_folder_exports_counts_as_the_module_that_defines_it() {
        let heap = ("heap", "mod free;\nmod alloc;\npub use alloc::{allocate, Big as Huge};\npub use free::free;");
        let free = "use super::allocate;\nuse crate::heap::Huge;\nuse crate::heap;\nuse super::*;\nfn f() { super::Huge::new() }";
        let alloc = "use super::free;\nuse crate::heap::free::g;";
        let found = broken(&[ROOT, ("low", ""), heap, ("heap::free", free), ("heap::alloc", alloc)]);
        assert_eq!(found, [1, 2, 3, 4, 5].map(|line| ("heap::free".to_string(), line)));
    }

    #[test]
    fn the_file_of_a_folder_and_a_module_in_it_may_not_use_each_other() {
        let files = |heap: &str, free: &str| broken(&[ROOT, ("low", ""), ("heap", heap), ("heap::free", free)]);
        // Below its module, above its module, and both at once.
        assert_eq!(files("mod free;\npub use free::f;\npub struct Heap;", "use super::Heap;"), []);
        assert_eq!(files("mod free;\nuse free::f;\npub fn g() { f(); free::h() }", "pub fn f() {}"), []);
        for circle in
            ["use free::f;", "fn g() { free::f() }", "use self::free::f;", "pub use free::F; struct A { f: F }"]
        {
            let heap = format!("mod free; pub struct Heap;\n{circle}");
            assert_eq!(files(&heap, "use super::Heap;"), [("heap".to_string(), 2)], "{circle}");
        }
    }

    #[test]
    fn a_box_that_names_another_is_found() {
        let policy = "use super::Snapshot;\nuse crate::heap;\nuse super::super::spans;\nuse hakmem_os::vm;";
        let policy = sources(&[("policy::settings", policy)]);
        assert_eq!(outside(&policy[0], "policy").iter().map(|breach| breach.line).collect::<Vec<_>>(), [2, 3, 4]);
    }
}
