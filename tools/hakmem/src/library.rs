//! Where `libhakmem.so` is, and how a program is made to load it first.

use anyhow::{Context, Result, ensure};
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The variable in which the dynamic linker looks for libraries to load before all others.
pub const PRELOAD: &str = "LD_PRELOAD";

/// As built, and as installed without a development package.
const NAMES: [&str; 2] = ["libhakmem.so", "libhakmem.so.0"];

/// The library to run on: the one chosen, else the one beside this command, else the one in `../lib`.
pub fn find(chosen: Option<&Path>) -> Result<PathBuf> {
    let library = match chosen {
        Some(path) => path.canonicalize().with_context(|| format!("--library {}", path.display()))?,
        None => find_near_command()?,
    };
    let separators: &[u8] = b": ";
    ensure!(
        !library.as_os_str().as_bytes().iter().any(|byte| separators.contains(byte)),
        "{}: {PRELOAD} cannot hold a path with a space or a colon in it; move the library to a path without",
        library.display()
    );
    Ok(library)
}

fn find_near_command() -> Result<PathBuf> {
    let command = env::current_exe().and_then(|path| path.canonicalize()).context("where this command is")?;
    let beside = command.parent().unwrap_or(Path::new("/"));
    [beside.to_path_buf(), beside.join("../lib")]
        .iter()
        .flat_map(|directory| NAMES.map(|name| directory.join(name)))
        .find_map(|candidate| candidate.canonicalize().ok())
        .with_context(|| {
            format!(
                "no libhakmem.so in {0} or {0}/../lib: build it with `cargo build --release`, or name it with --library",
                beside.display()
            )
        })
}

/// The value of `LD_PRELOAD` that puts `library` in front of what is preloaded already.
pub fn preload(library: &Path) -> OsString {
    join_preload(library, env::var_os(PRELOAD).unwrap_or_default())
}

fn join_preload(library: &Path, already: OsString) -> OsString {
    let ours = library.as_os_str().as_bytes();
    let others = already.as_bytes().split(|byte| matches!(byte, b' ' | b':')).filter(|path| *path != ours);
    let all: Vec<&[u8]> = std::iter::once(ours).chain(others.filter(|path| !path.is_empty())).collect();
    OsString::from_vec(all.join(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_comes_first_once_and_the_others_stay() {
        let join = |already: &str| join_preload(Path::new("/l/libhakmem.so"), already.into());
        assert_eq!(join(""), "/l/libhakmem.so");
        assert_eq!(join("/a.so /b.so"), "/l/libhakmem.so:/a.so:/b.so");
        assert_eq!(join("/a.so:/l/libhakmem.so"), "/l/libhakmem.so:/a.so");
    }
}
