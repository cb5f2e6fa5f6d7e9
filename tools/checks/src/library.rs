//! Where the library under test is.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The library as it is built.
pub struct Library {
    /// The shared library; `HAKMEM_LIB` names another one: of another profile, or to compare its conduct.
    pub shared: PathBuf,
    /// The archive beside it, or that of the release profile.
    pub archive: PathBuf,
    /// A plugin in Rust that has the allocator inside.
    pub rust_plugin: PathBuf,
    /// The directory of the header.
    pub include: PathBuf,
}

/// The root of the workspace.
pub fn source_tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The library in the release profile; panics with what to do if there is none.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // A test program is at <target>/<profile>/deps/<name>.
        let program = env::current_exe().expect("the path of this test program");
        let target = program.ancestors().nth(3).expect("a test program lies three levels below the target directory");
        let present = |path: PathBuf| {
            path.canonicalize().unwrap_or_else(|error| {
                panic!("{}: {error}; `cargo build --release` makes it, HAKMEM_LIB=path names another", path.display())
            })
        };
        let shared = present(env::var_os("HAKMEM_LIB").map_or(target.join("release/libhakmem.so"), PathBuf::from));
        let beside = shared.with_file_name("libhakmem.a");
        Library {
            archive: if beside.is_file() { beside } else { target.join("release/libhakmem.a") },
            shared,
            rust_plugin: target.join("release/libhakmem_rust_plugin.so"),
            include: source_tree().join("crates/hakmem-capi/include"),
        }
    })
}
