//! The functions whose fast path is watched, and the built files they are in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::crates::Workspace;
use crate::golden::{TO_ALLOCATE, TO_FREE, TO_FREE_SIZED};
use crate::path::{Deeds, End, Goal};
use crate::tree;

/// What the fast path of a function has to do.
pub struct Entry {
    /// Its name.
    pub symbol: &'static str,
    /// What tells its fast path from an early return.
    pub goal: Goal,
    /// Most instructions that a small block may take, whatever the golden file says; two more where misuse is checked for.
    pub limit: Option<usize>,
    /// The arguments of a call that takes the fast path.
    pub arguments: [Argument; 2],
}

/// One argument of a call.
#[derive(Clone, Copy)]
pub enum Argument {
    /// A number.
    Number(usize),
    /// A live block of 64 bytes.
    Block,
}

use Argument::{Block, Number};

const SERVES: Goal = Goal { deeds: Deeds { reads_thread: true, writes: true }, end: End::Return };
/// Ends in memset, which returns the block.
const SERVES_ZEROED: Goal = Goal { end: End::Import, ..SERVES };
/// Finds that the block may stay as it is.
const LOOKS: Goal = Goal { deeds: Deeds { reads_thread: true, writes: false }, end: End::Return };

/// Every function that is watched.
pub const ENTRIES: [Entry; 9] = [
    Entry { symbol: "malloc", goal: SERVES, limit: Some(TO_ALLOCATE), arguments: [Number(64), Number(0)] },
    Entry { symbol: "free", goal: SERVES, limit: Some(TO_FREE), arguments: [Block, Number(0)] },
    Entry { symbol: "calloc", goal: SERVES_ZEROED, limit: None, arguments: [Number(1), Number(64)] },
    Entry { symbol: "realloc", goal: LOOKS, limit: None, arguments: [Block, Number(60)] },
    Entry { symbol: "hak_malloc", goal: SERVES, limit: Some(TO_ALLOCATE), arguments: [Number(64), Number(0)] },
    Entry { symbol: "hak_free", goal: SERVES, limit: Some(TO_FREE), arguments: [Block, Number(0)] },
    Entry { symbol: "_Znwm", goal: SERVES, limit: Some(TO_ALLOCATE), arguments: [Number(64), Number(0)] },
    Entry { symbol: "_ZdlPv", goal: SERVES, limit: Some(TO_FREE), arguments: [Block, Number(0)] },
    Entry { symbol: "_ZdlPvm", goal: SERVES, limit: Some(TO_FREE_SIZED), arguments: [Block, Number(64)] },
];

/// What a Rust program makes of an allocation and a free of known size.
pub const RUST_ENTRIES: [Entry; 2] = [
    Entry { symbol: "rust_allocate", goal: SERVES, limit: Some(TO_ALLOCATE), arguments: [Number(0), Number(0)] },
    Entry { symbol: "rust_free", goal: SERVES, limit: Some(TO_FREE), arguments: [Block, Number(0)] },
];

/// A file that `cargo build --release` makes.
pub struct Built {
    name: &'static str,
    /// The folders of what it is made of.
    sources: &'static [&'static str],
}

/// The C library.
pub const LIBRARY: Built = Built {
    name: "libhakmem.so",
    sources: &["crates/hakmem-os/src", "crates/hakmem-core/src", "crates/hakmem-capi/src"],
};

/// A Rust program with HAKMEM as its global allocator.
pub const RUST_PROGRAM: Built = Built {
    name: "hakmem-rust-face",
    sources: &["crates/hakmem-os/src", "crates/hakmem-core/src", "crates/hakmem-alloc/src", "tools/rust-face/src"],
};

impl Built {
    /// Where the file is, or what has to be done first. It has to be newer than what it is made of: the instructions of
    /// yesterday's code prove nothing.
    pub fn path(&self) -> Result<PathBuf, String> {
        let root = tree::root();
        let path = Workspace::read(&root).target.join("release").join(self.name);
        let advice = "run: cargo build --release";
        let built = modified(&path).ok_or_else(|| format!("{} is missing, {advice}", path.display()))?;
        let mut sources = self.sources.iter().flat_map(|folder| tree::rust_files(&root, folder));
        match sources.find(|source| modified(&root.join(source)).is_some_and(|changed| changed > built)) {
            Some(newer) => Err(format!("{} is newer than {}, {advice}", newer.display(), path.display())),
            None => Ok(path),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
