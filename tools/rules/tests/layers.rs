//! The rules of the tree: who may depend on whom, what may be said where, and how files look.

use std::fs;
use std::path::{Path, PathBuf};

use hakmem_rules::crates::Workspace;
use hakmem_rules::layers::{self, Order};
use hakmem_rules::source::Source;
use hakmem_rules::{Breach, expect_none, purity, tree};

const CORE: &str = "crates/hakmem-core/src/lib.rs";
const CAPI: &str = "crates/hakmem-capi/src/lib.rs";

/// Crates that run inside `malloc`.
const INSIDE_MALLOC: [&str; 3] = ["crates/hakmem-os/src/lib.rs", CORE, CAPI];

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
    for lib in ["crates/hakmem-os/src/lib.rs", CORE] {
        let sources = read_crate(lib);
        expect_none("modules use lower layers only:", &Order::read(&sources).check());
    }
}

#[test]
fn every_source_file_belongs_to_its_crate() {
    let root = tree::root();
    let mut breaches = Vec::new();
    for lib in ["crates/hakmem-alloc/src/lib.rs"].iter().chain(&INSIDE_MALLOC) {
        let known: Vec<PathBuf> = read_crate(lib).into_iter().map(|source| source.path).collect();
        let folder = lib.strip_suffix("/lib.rs").expect("a library's root");
        let lost = tree::rust_files(&root, folder).into_iter().filter(|file| !known.contains(file));
        breaches.extend(lost.map(|file| Breach { file, line: 1, message: format!("no `mod` leads here from {lib}") }));
    }
    expect_none("no file is left over:", &breaches);
}

#[test]
fn only_the_os_crate_speaks_to_the_machine() {
    let mut breaches = Vec::new();
    for (folder, libc_too) in [("crates", true), ("tools", false)] {
        let sources = read_files(folder).into_iter().filter(|source| !source.path.starts_with("crates/hakmem-os"));
        breaches.extend(sources.flat_map(|source| purity::platform(&source, libc_too)));
    }
    expect_none("assembly, libc and code for one platform live in hakmem-os:", &breaches);
}

#[test]
fn the_core_declares_no_foreign_functions() {
    let breaches: Vec<Breach> = read_crate(CORE).iter().flat_map(purity::foreign_blocks).collect();
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
fn nothing_inside_malloc_allocates() {
    let sources = INSIDE_MALLOC.into_iter().flat_map(read_crate);
    expect_none("no std, no alloc:", &sources.flat_map(|source| purity::allocation(&source)).collect::<Vec<_>>());
}

#[test]
fn nothing_inside_malloc_calls_malloc() {
    let sources = INSIDE_MALLOC.into_iter().flat_map(read_crate);
    expect_none("no way back in:", &sources.flat_map(|source| purity::own_exports(&source)).collect::<Vec<_>>());
}

#[test]
fn nothing_inside_malloc_panics_by_design() {
    let sources = INSIDE_MALLOC.into_iter().flat_map(read_crate);
    expect_none("no panics:", &sources.flat_map(|source| purity::panics(&source)).collect::<Vec<_>>());
}

#[test]
fn nothing_under_the_c_api_prints_or_reads_the_environment() {
    let sources = [CORE, CAPI].into_iter().flat_map(read_crate);
    expect_none("no surroundings:", &sources.flat_map(|source| purity::surroundings(&source)).collect::<Vec<_>>());
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
