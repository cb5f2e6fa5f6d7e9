//! The rules of the tree: who may depend on whom, what may be said where, and how files look.

use std::fs;
use std::path::{Path, PathBuf};

use hakmem_rules::crates::Workspace;
use hakmem_rules::documents::Known;
use hakmem_rules::layers::{self, Order};
use hakmem_rules::source::Source;
use hakmem_rules::{Breach, expect_none, purity, tree};

const OS: &str = "crates/hakmem-os/src/lib.rs";
const CORE: &str = "crates/hakmem-core/src/lib.rs";
const CAPI: &str = "crates/hakmem-capi/src/lib.rs";
const ALLOC: &str = "crates/hakmem-alloc/src/lib.rs";
/// Declares its own C++ half.
const CXX: &str = "crates/hakmem-capi/src/operators.rs";

/// Crates that run inside `malloc`.
const INSIDE_MALLOC: [&str; 3] = [OS, CORE, CAPI];

fn read_crate(lib: &str) -> Vec<Source> {
    Source::read_crate(&tree::root(), Path::new(lib))
}

fn read_files(folder: &str) -> Vec<Source> {
    let root = tree::root();
    tree::rust_files(&root, folder).iter().map(|path| Source::read(&root, path)).collect()
}

/// Applies `rule` to the text of every file that is text.
fn in_texts(rule: impl Fn(&Path, &str) -> Vec<Breach>) -> Vec<Breach> {
    let root = tree::root();
    let texts =
        tree::files(&root).into_iter().filter_map(|path| Some((fs::read_to_string(root.join(&path)).ok()?, path)));
    texts.flat_map(|(text, path)| rule(&path, &text)).collect()
}

#[test]
fn crates_depend_on_those_below_them_only() {
    let workspace = Workspace::read(&tree::root());
    expect_none("every crate has a place in the order:", &workspace.unplaced());
    expect_none("dependencies go down only:", &workspace.upward());
}

#[test]
fn dependencies_are_pinned() {
    expect_none("versions change on purpose only:", &Workspace::read(&tree::root()).unpinned());
}

#[test]
fn modules_use_those_below_them_only() {
    let mut breaches = Vec::new();
    for lib in [OS, CORE] {
        breaches.extend(Order::read(&read_crate(lib)).check());
    }
    expect_none("modules use lower layers only:", &breaches);
}

#[test]
fn every_source_file_belongs_to_its_crate() {
    let root = tree::root();
    let mut breaches = Vec::new();
    for lib in [ALLOC].iter().chain(&INSIDE_MALLOC) {
        let known: Vec<PathBuf> = read_crate(lib).into_iter().map(|source| source.path).collect();
        let folder = lib.strip_suffix("/lib.rs").expect("a library's root");
        let lost = tree::rust_files(&root, folder).into_iter().filter(|file| !known.contains(file));
        breaches.extend(lost.map(|file| Breach { file, line: 1, message: format!("no `mod` leads here from {lib}") }));
    }
    expect_none("no file is left over:", &breaches);
}

#[test]
fn only_the_os_crate_speaks_to_the_machine() {
    let mut sources: Vec<Source> = ["crates", "tools"].into_iter().flat_map(read_files).collect();
    sources.retain(|source| !source.path.starts_with("crates/hakmem-os"));
    let breaches: Vec<Breach> = sources.iter().flat_map(purity::platform).collect();
    expect_none("assembly and code for one platform live in hakmem-os:", &breaches);
    expect_none("libc is called by hakmem-os:", &Workspace::read(&tree::root()).foreign());
}

#[test]
fn foreign_functions_are_declared_in_the_os_crate() {
    let mut sources: Vec<Source> = [CORE, CAPI, ALLOC].into_iter().flat_map(read_crate).collect();
    sources.retain(|source| source.path != Path::new(CXX));
    let breaches: Vec<Breach> = sources.iter().flat_map(purity::foreign_blocks).collect();
    expect_none("the core reaches libc and the kernel through hakmem-os:", &breaches);
}

#[test]
fn policy_is_pure() {
    let mut sources = read_crate(CORE);
    sources.retain(|source| source.path.starts_with("crates/hakmem-core/src/policy"));
    assert!(!sources.is_empty(), "the policy box has moved: this test looks in crates/hakmem-core/src/policy");
    let mut breaches: Vec<Breach> = sources.iter().flat_map(|source| layers::outside(source, "policy")).collect();
    let inner = sources.iter().filter(|source| !source.path.ends_with("policy/mod.rs"));
    breaches.extend(inner.flat_map(purity::no_unsafe));
    expect_none("policy is data and pure functions:", &breaches);
}

#[test]
fn nothing_inside_malloc_asserts() {
    let sources = INSIDE_MALLOC.into_iter().flat_map(read_crate);
    expect_none("no panics:", &sources.flat_map(|source| purity::assertions(&source)).collect::<Vec<_>>());
}

#[test]
fn unsafe_files_say_so_at_their_top() {
    let sources = ["crates", "tools", "tests", "fuzz"].into_iter().flat_map(read_files);
    let breaches: Vec<Breach> = sources.filter_map(|source| purity::announced_unsafe(&source)).collect();
    expect_none("unsafe code is announced:", &breaches);
}

#[test]
fn files_are_short() {
    expect_none("one subject each:", &in_texts(|path, text| tree::too_long(path, text).into_iter().collect()));
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    expect_none("paths are relative:", &in_texts(tree::home_paths));
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let known = Known::new(&tree::files(&tree::root()));
    let documents = |path: &Path, text: &str| match path.extension() {
        Some(ending) if ending == "md" => known.missing(path, text),
        _ => Vec::new(),
    };
    expect_none("documents name what is there:", &in_texts(documents));
}
