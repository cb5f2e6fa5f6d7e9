//! Real servers: each is started under an allocator, loaded by its clients, emptied, and then left alone.
//!
//! [`visit()`] does that once and measures it; [`SERVERS`] says which servers there are. The clients of one kind of server
//! are a file each, and are part of this command, so that what asks a server never runs on the allocator.

mod mariadb;
mod memcached;
mod nginx;
mod postgres;
mod process_tree;
mod redis;
mod service;
mod sql;
mod visit;

pub use process_tree::ProcessTree;
pub use visit::visit;

use crate::{candidates::executable_folder, programs::find_program, random::Random};
use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The name of the rows of servers.
pub const NAME: &str = "memory_server";

/// What the rows stand for.
pub const STANDS_FOR: &str = "servers after their rush hour";

/// A server: how it is started, and what its clients do.
pub struct Server {
    /// Its name in the results.
    pub name: &'static str,
    /// What its clients do.
    pub stands_for: &'static str,
    /// The program.
    program: &'static str,
    /// Programs it needs beside that one.
    needs: &'static [&'static str],
    /// What brings the programs.
    remedy: &'static str,
    /// Whether the program is linked to an allocator of its own, on which it runs as `shipped`.
    pub brings_allocator: bool,
    /// Writes what it needs into its folder, once for all runs.
    prepare: fn(&Place) -> Result<()>,
    /// Adds its arguments: in the foreground, with nothing kept on disk, listening at the socket of the place.
    arguments: fn(&mut Command, &Place),
    /// Connects its clients; fails while the server is not ready.
    connect: fn(&Place) -> Result<Box<dyn Load>>,
}

/// The clients of a running server. They stay connected until it is stopped.
trait Load {
    /// Fills the server. It holds the most when this returns.
    fn fill(&mut self) -> Result<()>;

    /// Takes everything out of it again, but what [`Load::live`] says.
    fn empty(&mut self) -> Result<()>;

    /// What the server holds for its clients, in bytes. Nothing but where a load leaves something, or where the server
    /// keeps its memory by design.
    fn live(&mut self) -> Result<u64> {
        Ok(0)
    }
}

/// Where a server runs, and how much it is loaded.
#[derive(Clone, Debug)]
pub struct Place {
    /// A folder of its own.
    pub folder: PathBuf,
    /// By how much its load is longer or shorter.
    pub scale: f64,
}

impl Place {
    /// The place of a server in the folder of all input.
    pub fn new(inputs: &Path, server: &Server, scale: f64) -> Self {
        Self { folder: inputs.join(server.name.replace(' ', "-")), scale }
    }

    /// The socket at which the server listens.
    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// A number of things, made longer or shorter.
    fn count(&self, full: usize) -> usize {
        ((full as f64 * self.scale).round() as usize).max(1)
    }
}

/// The servers of the comparison of memory.
pub const SERVERS: &[Server] = &[
    redis::FLUSH,
    redis::EXPIRY,
    redis::CHURN,
    memcached::SERVER,
    nginx::SERVER,
    postgres::SERVER,
    mariadb::SERVER,
    service::PYTHON,
    service::NODE,
    service::RUBY,
    service::TOKIO,
];

impl Server {
    /// Its file; nothing if it is not there.
    pub fn file(&self) -> Option<PathBuf> {
        let beside = executable_folder().ok().map(|folder| folder.join(self.program)).filter(|file| file.is_file());
        // Servers lie where an ordinary user's PATH does not lead; PostgreSQL's in a folder for each version.
        let system = || Some(Path::new("/usr/sbin").join(self.program)).filter(|file| file.is_file());
        beside.or_else(|| find_program(self.program)).or_else(system).or_else(|| postgres::find(self.program))
    }

    /// What is missing, and what brings it.
    pub fn missing(&self) -> Option<String> {
        let needed = self.needs.iter().copied().filter(|program| find_program(program).is_none());
        let missing: Vec<&str> = self.file().is_none().then_some(self.program).into_iter().chain(needed).collect();
        (!missing.is_empty()).then(|| format!("{} is missing: {}", missing.join(", "), self.remedy))
    }

    /// Makes its folder, with what it needs there, unless an earlier visit did.
    fn prepare(&self, place: &Place) -> Result<()> {
        if place.folder.exists() {
            return Ok(());
        }
        fs::create_dir_all(&place.folder)?;
        (self.prepare)(place).inspect_err(|_| {
            // Half a folder would be taken for a whole one.
            let _ = fs::remove_dir_all(&place.folder);
        })
    }
}

/// The preparation of servers that need nothing.
fn nothing(_: &Place) -> Result<()> {
    Ok(())
}

/// Text of `length` bytes that does not compress to nothing.
fn text(random: &mut Random, length: usize) -> String {
    (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_make_short_paths() {
        let mut names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
        // A socket's path has 108 bytes at most.
        assert!(names.iter().all(|name| name.len() < 30), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SERVERS.len());
    }

    #[test]
    fn the_documentation_says_of_each_what_it_does() {
        let text = include_str!("../../../../docs/benchmarks.md");
        for server in SERVERS {
            let line = format!("| {} | {} |", server.name, server.stands_for);
            assert!(text.contains(&line), "docs/benchmarks.md lacks the line `{line}`");
        }
        assert!(text.contains(&format!("| {NAME} | {STANDS_FOR} | ")));
    }
}
