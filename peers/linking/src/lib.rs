//! Build-time help for the peers: which symbols their preload library exports, and under which names.
//!
//! A peer is driven through the very functions its users call. So nothing is forwarded: the linker gives the
//! allocator's own function the public name (`--defsym`), or the function has that name already, and a version script
//! beside rustc's own makes it visible. Not a single instruction is added.

use std::{env, fmt::Write as _, fs, path::PathBuf, process::Command};

/// The C functions that a complete drop-in allocator provides.
pub const C_FAMILY: [&str; 12] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "pvalloc",
    "reallocarray",
    "malloc_usable_size",
    "cfree",
];

/// Every signature of C++'s operator new and operator delete, by its mangled name.
pub const CXX_FAMILY: [&str; 20] = [
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
    "_ZdlPvmSt11align_val_t",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
];

/// Collects what the preload library of one peer exports; [`Exports::finish`] hands it to the linker.
#[derive(Default)]
pub struct Exports {
    names: Vec<String>,
    arguments: Vec<String>,
}

impl Exports {
    /// Exports functions that carry their public name already.
    pub fn named(mut self, names: &[&str]) -> Self {
        for name in names {
            // The reference pulls the function's object out of its archive.
            self.arguments.push(format!("-Wl,--undefined={name}"));
            self.names.push((*name).to_owned());
        }
        self
    }

    /// Exports the allocator's function `own` under the name `public`.
    pub fn alias(mut self, public: &str, own: &str) -> Self {
        self.arguments.push(format!("-Wl,--defsym={public}={own}"));
        self.names.push(public.to_owned());
        self
    }

    /// Exports many functions under other names.
    pub fn aliases(self, pairs: &[(&str, &str)]) -> Self {
        pairs.iter().fold(self, |exports, (public, own)| exports.alias(public, own))
    }

    /// Writes the version script and passes everything to the linker of the crate's cdylib.
    /// `crate_name` is the -sys crate, whose locked version becomes the environment variable `PEER_VERSION`.
    pub fn finish(self, crate_name: &str) {
        let mut script = String::from("{ global:\n");
        for name in &self.names {
            writeln!(script, "  {name};").expect("a String takes any text");
        }
        script.push_str("};\n");
        let path = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("exports.map");
        fs::write(&path, script).expect("OUT_DIR is writable");
        println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={}", path.display());
        // Where no Rust crate asks for libc, rustc does not link it.
        println!("cargo::rustc-cdylib-link-arg=-lc");
        for argument in &self.arguments {
            println!("cargo::rustc-cdylib-link-arg={argument}");
        }
        println!("cargo::rustc-env=PEER_VERSION={crate_name} {}", locked_version(crate_name));
        println!("cargo::rerun-if-changed=build.rs");
        println!("cargo::rerun-if-changed=../Cargo.lock");
    }
}

/// The version of `crate_name` in the workspace's Cargo.lock, so that no version is written down twice.
fn locked_version(crate_name: &str) -> String {
    let lock = fs::read_to_string("../Cargo.lock").expect("the peers' workspace has a Cargo.lock");
    let mut lines = lock.lines();
    let wanted = format!("name = \"{crate_name}\"");
    lines.find(|line| *line == wanted).expect("the peer's crate is in Cargo.lock");
    let version = lines.next().expect("a version follows the name");
    version.trim_start_matches("version = ").trim_matches('"').to_owned()
}

/// The folder in which cargo keeps the sources of `crate_name`, a package of this workspace's Cargo.lock.
pub fn source_of(crate_name: &str) -> PathBuf {
    let cargo = env::var("CARGO").expect("cargo sets CARGO");
    let output = Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]).output();
    let output = output.expect("cargo can be run");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("cargo lists the packages");
    let package = packages.iter().find(|package| package["name"] == crate_name).expect("the crate is in Cargo.lock");
    let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a package has a manifest"));
    manifest.parent().expect("a manifest lies in a folder").to_owned()
}
