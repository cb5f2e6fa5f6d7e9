//! The fast paths of the built library against their golden files: they may not grow, call, lock or use the stack.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hakmem_rules::code::Code;
use hakmem_rules::crates::Workspace;
use hakmem_rules::golden::{BLESS, Golden};
use hakmem_rules::path::{Deeds, fast_path};
use hakmem_rules::tree;

/// What the fast path of a function has to do, and how long it may be.
struct Entry {
    symbol: &'static str,
    wanted: Deeds,
    /// Serves a small block and so has a limit beside the golden file.
    small_block: bool,
}

const SERVES: Deeds = Deeds { reads_thread: true, writes: true };

const ENTRIES: [Entry; 9] = [
    Entry { symbol: "malloc", wanted: SERVES, small_block: true },
    Entry { symbol: "free", wanted: SERVES, small_block: true },
    Entry { symbol: "calloc", wanted: SERVES, small_block: false },
    Entry { symbol: "realloc", wanted: Deeds { reads_thread: false, writes: false }, small_block: false },
    Entry { symbol: "hak_malloc", wanted: SERVES, small_block: true },
    Entry { symbol: "hak_free", wanted: SERVES, small_block: true },
    Entry { symbol: "_Znwm", wanted: SERVES, small_block: true },
    Entry { symbol: "_ZdlPv", wanted: SERVES, small_block: true },
    Entry { symbol: "_ZdlPvm", wanted: SERVES, small_block: true },
];

/// The library, which has to be newer than what it is made of: a golden file of yesterday's code proves nothing.
fn library() -> PathBuf {
    let path = Workspace::read(&tree::root()).target.join("release/libhakmem.so");
    let built = modified(&path).unwrap_or_else(|| panic!("{} is missing, run: cargo build --release", path.display()));
    let root = tree::root();
    for folder in ["crates/hakmem-os/src", "crates/hakmem-core/src", "crates/hakmem-capi/src"] {
        for source in tree::rust_files(&root, folder) {
            let newer = modified(&root.join(&source)).is_some_and(|changed| changed > built);
            assert!(!newer, "{} is newer than {}, run: cargo build --release", source.display(), path.display());
        }
    }
    path
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn golden_file(symbol: &str) -> PathBuf {
    tree::root().join("tests/golden").join(symbol).with_extension("txt")
}

fn problem(code: &Code, entry: &Entry) -> Option<String> {
    let Entry { symbol, wanted, small_block } = entry;
    let file = golden_file(symbol);
    let bless = env::var_os("HAKMEM_BLESS").is_some_and(|value| value == "1");
    let golden = match fs::read_to_string(&file) {
        Ok(text) => match Golden::parse(&text) {
            Ok(golden) => golden,
            Err(problem) => return Some(format!("{}: {problem}", file.display())),
        },
        Err(_) if bless => Golden::default(),
        Err(error) => return Some(format!("{}: {error}; write it with: {BLESS}", file.display())),
    };
    let Some(address) = code.export(symbol) else { return Some(format!("the library does not export {symbol}")) };
    let Some(way) = fast_path(code, address, &golden.jumps, *wanted) else {
        return Some(format!("no way through {symbol} serves a block and returns within the function"));
    };
    let golden = if bless { golden.with(&way) } else { golden };
    if bless {
        fs::write(&file, golden.print(symbol)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    golden.problem(symbol, &way, small_block.then(|| golden.limit()))
}

#[test]
fn fast_paths_are_as_short_as_their_golden_files() {
    let path = library();
    let code = Code::read(&path).unwrap_or_else(|problem| panic!("{problem}"));
    let problems: Vec<String> = ENTRIES.iter().filter_map(|entry| problem(&code, entry)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_golden_file_belongs_to_a_function_that_is_checked() {
    let folder = fs::read_dir(tree::root().join("tests/golden")).expect("tests/golden is a folder");
    for file in folder.map(|entry| entry.expect("a readable folder entry").path()) {
        assert!(
            ENTRIES.iter().any(|entry| golden_file(entry.symbol) == file),
            "{} is checked by nothing",
            file.display()
        );
    }
}
