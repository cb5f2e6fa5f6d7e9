//! The candidates: which allocators there are, where their libraries lie and what they need in the environment.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// One allocator in the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name in tables.
    pub name: String,
    /// The library that is preloaded; none for libc's own allocator.
    pub library: Option<PathBuf>,
    /// Environment variables it needs to run as its authors mean it.
    pub environment: Vec<(String, String)>,
    /// What its worker said it is; empty until a worker has run.
    pub version: String,
}

/// The allocators built from source, as folders of the peers' workspace.
pub const PEERS: [&str; 6] = ["mimalloc3", "mimalloc2", "jemalloc", "snmalloc", "tcmalloc", "rpmalloc"];

/// The name of the allocator that knows everything; it is part of the worker.
pub const CEILING: &str = "ceiling";

/// What a program was shipped with: no preload at all, for programs that are linked to an allocator of their own.
pub const SHIPPED: &str = "shipped";

/// Debian's packaged allocators: name here, file, package.
const PACKAGED: [(&str, &str, &str); 3] = [
    ("debian-jemalloc", "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("debian-gperftools", "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("debian-mimalloc", "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0", "libmimalloc2.0"),
];

impl Candidate {
    fn new(name: &str, library: Option<PathBuf>) -> Self {
        let mut environment = Vec::new();
        if name == "tcmalloc" {
            // Its per-CPU caches use restartable sequences, which it must register itself; since 2.35 libc is faster.
            environment.push(("GLIBC_TUNABLES".to_owned(), "glibc.pthread.rseq=0".to_owned()));
        }
        if name == "mimalloc3-nothp" {
            environment.push(("MIMALLOC_ALLOW_THP".to_owned(), "0".to_owned()));
        }
        let version = if name == SHIPPED { "what the program is linked to".to_owned() } else { String::new() };
        Self { name: name.to_owned(), library, environment, version }
    }

    /// A library the user names as `name=path`.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, path) = text
            .split_once('=')
            .filter(|(name, path)| !name.is_empty() && !path.is_empty())
            .with_context(|| format!("`--lib {text}` names no library; `--lib mine=./libmine.so` would"))?;
        let library = fs::canonicalize(path).with_context(|| format!("`--lib {text}`: there is no file {path}"))?;
        Ok(Self::new(name, Some(library)))
    }

    /// The candidate called `name`; an error says how to get it if it is not there.
    fn named(name: &str) -> Result<Self> {
        if name == "glibc" || name == CEILING || name == SHIPPED {
            return Ok(Self::new(name, None));
        }
        let (library, remedy) = if name == "hakmem" {
            (hakmem_library()?, "build it with `cargo build --release`".to_owned())
        } else if PEERS.contains(&name) {
            (peer_library(name)?, "build the peers with `--build-peers`".to_owned())
        } else if name == "mimalloc3-nothp" {
            (peer_library("mimalloc3")?, "build the peers with `--build-peers`".to_owned())
        } else if let Some((_, path, package)) = PACKAGED.iter().find(|(packaged, ..)| *packaged == name) {
            (PathBuf::from(path), format!("install Debian's package {package}"))
        } else {
            bail!("there is no allocator `{name}`; there is {}, and any `--lib name=path`", known_names().join(", "));
        };
        if !library.exists() {
            bail!("{name} is not there ({} does not exist): {remedy}", library.display());
        }
        Ok(Self::new(name, Some(library)))
    }

    /// Whether this is the allocator that knows everything, with which nobody competes.
    pub fn is_ceiling(&self) -> bool {
        self.name == CEILING
    }

    /// Whether this is whatever a program was shipped with.
    pub fn is_shipped(&self) -> bool {
        self.name == SHIPPED
    }

    /// What is preloaded into a program. One that brings an allocator of its own runs on libc's only if libc comes first.
    pub fn preload(&self, brings_allocator: bool) -> Result<Option<PathBuf>> {
        if self.library.is_none() && brings_allocator && !self.is_shipped() {
            return libc_file().map(Some);
        }
        Ok(self.library.clone())
    }

    /// Whether `path`, where a worker found malloc, is this candidate's library.
    pub fn provides(&self, path: &str) -> bool {
        match &self.library {
            None => Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("libc.so")),
            Some(library) => match (fs::canonicalize(library), fs::canonicalize(path)) {
                (Ok(library), Ok(found)) => library == found,
                _ => false,
            },
        }
    }
}

/// Every name that [`select`] knows.
pub fn known_names() -> Vec<&'static str> {
    let mut names = vec!["hakmem", "glibc"];
    names.extend(PEERS);
    names.push("mimalloc3-nothp");
    names.extend(PACKAGED.iter().map(|(name, ..)| *name));
    names.extend([SHIPPED, CEILING]);
    names
}

/// The candidates of a run: those in `names`, or, where none are named, all that are there except variants of another;
/// and the user's own libraries.
pub fn select(names: &[String], own: &[String]) -> Result<Vec<Candidate>> {
    let mut candidates = if names.is_empty() {
        let variants = ["mimalloc3-nothp"];
        let wanted = known_names().into_iter().filter(|name| !variants.contains(name));
        wanted.filter_map(|name| Candidate::named(name).ok()).collect()
    } else {
        names.iter().map(|name| Candidate::named(name)).collect::<Result<Vec<_>>>()?
    };
    for text in own {
        candidates.push(Candidate::parse(text)?);
    }
    for (index, candidate) in candidates.iter().enumerate() {
        if candidates[..index].iter().any(|other| other.name == candidate.name) {
            bail!("`{}` is named twice; each allocator needs a name of its own", candidate.name);
        }
    }
    Ok(candidates)
}

/// The file of libc, as it is mapped into this process.
fn libc_file() -> Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").context("the maps of this process cannot be read")?;
    let mapped = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let is_libc = |file: &&Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libc.so"));
    mapped.filter(is_libc).map(Path::to_owned).next().context("libc is not mapped into this process")
}

/// HAKMEM's library: the release build, or the file beside an installed command.
fn hakmem_library() -> Result<PathBuf> {
    let folder = executable_folder()?;
    let places = ["../release/libhakmem.so", "libhakmem.so", "../lib/libhakmem.so"];
    let found = places.iter().map(|place| folder.join(place)).find_map(|path| fs::canonicalize(path).ok());
    Ok(found.unwrap_or_else(|| folder.join("libhakmem.so")))
}

/// The library of a peer, where `cargo build --release` in its folder puts it.
pub fn peer_library(name: &str) -> Result<PathBuf> {
    Ok(peers_target(&project_root()?).join(format!("release/libpeer_{name}.so")))
}

/// The folder in which the peers are built.
pub fn peers_target(root: &Path) -> PathBuf {
    root.join("target/peers")
}

/// The project's folder: the one that holds the peers' workspace, above the command or above the current folder.
pub fn project_root() -> Result<PathBuf> {
    let starts = [executable_folder()?, env::current_dir().context("the current folder cannot be read")?];
    let root =
        starts.iter().flat_map(|start| start.ancestors()).find(|folder| folder.join("peers/Cargo.toml").exists());
    root.map(Path::to_owned)
        .context("the project's folder was not found; run this command inside a copy of the project")
}

/// The folder of the running command.
pub fn executable_folder() -> Result<PathBuf> {
    let path = env::current_exe().and_then(fs::canonicalize).context("the path of this command cannot be read")?;
    Ok(path.parent().expect("a file lies in a folder").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_allocator_is_answered_with_the_known_ones() {
        let message = select(&["glibc".to_owned(), "dlmalloc".to_owned()], &[]).unwrap_err().to_string();
        assert!(message.contains("`dlmalloc`") && message.contains("jemalloc"), "{message}");
    }

    #[test]
    fn a_library_is_named_with_its_path() {
        for wrong in ["libx.so", "=libx.so", "x=", "x=/no/such/file.so"] {
            let message = select(&["glibc".to_owned()], &[wrong.to_owned()]).unwrap_err().to_string();
            assert!(message.contains(wrong), "{message}");
        }
    }

    #[test]
    fn a_name_stands_for_one_allocator_only() {
        let message = select(&["glibc".to_owned(), "glibc".to_owned()], &[]).unwrap_err().to_string();
        assert!(message.contains("named twice"), "{message}");
    }

    #[test]
    fn libc_provides_its_own_malloc() {
        let glibc = Candidate::named("glibc").unwrap();
        assert!(glibc.provides("/lib/x86_64-linux-gnu/libc.so.6"));
        assert!(!glibc.provides("/usr/lib/libjemalloc.so.2"));
    }

    #[test]
    fn libc_is_preloaded_only_where_a_program_brings_another_allocator() {
        let [glibc, shipped] = ["glibc", SHIPPED].map(|name| Candidate::named(name).unwrap());
        assert_eq!(glibc.preload(false).unwrap(), None);
        assert!(glibc.provides(&glibc.preload(true).unwrap().unwrap().to_string_lossy()));
        assert_eq!(shipped.preload(true).unwrap(), None);
    }
}
