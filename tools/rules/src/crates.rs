//! The crates of the workspace and who depends on whom, as cargo sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Breach;

/// The allocator's crates bottom-up: a crate may depend on those of the rows above its own. Everything in `tools` comes
/// last, and may depend on any.
pub const ORDER: [&[&str]; 3] = [&["hakmem-os"], &["hakmem-core"], &["hakmem-alloc", "hakmem-capi"]];

/// What the allocator's crates take from elsewhere to ship: the crate, and what it may depend on.
const FROM_ELSEWHERE: [(&str, &str); 2] = [("hakmem-os", "libc"), ("hakmem-os", "loom")];

/// What cargo knows about the workspace.
pub struct Workspace {
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    crates: Vec<Crate>,
}

struct Crate {
    name: String,
    /// Its `Cargo.toml`, relative to the root.
    manifest: PathBuf,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// The version asked for.
    version: String,
    /// In the workspace, not from a registry.
    local: bool,
    /// Part of what is built, not only of its tests or of building it.
    ships: bool,
}

impl Workspace {
    /// Asks cargo.
    pub fn read(root: &Path) -> Workspace {
        let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output().expect("cargo runs");
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
        Workspace::from_metadata(&metadata)
    }

    fn from_metadata(metadata: &Value) -> Workspace {
        let root = text(&metadata["workspace_root"]);
        let crates = list(&metadata["packages"]).iter().map(|package| Crate::new(package, Path::new(root))).collect();
        Workspace { target: PathBuf::from(text(&metadata["target_directory"])), crates }
    }

    /// Dependencies of a crate on one that is not below it.
    pub fn upward(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for one in &self.crates {
            let level = one.level();
            for dependency in one.dependencies.iter().filter(|dependency| dependency.local) {
                let below = self.crates.iter().find(|other| other.name == dependency.name);
                let allowed = below.is_some_and(|below| below.level() < level || level == ORDER.len());
                if !allowed {
                    let message = format!(
                        "`{}` may not depend on `{}`: dependencies go down only, {ORDER:?} and then tools",
                        one.name, dependency.name
                    );
                    breaches.push(one.breach(&dependency.name, message));
                }
            }
        }
        breaches
    }

    /// Crates of the allocator that the order does not know.
    pub fn unplaced(&self) -> Vec<Breach> {
        let unplaced =
            self.crates.iter().filter(|one| one.manifest.starts_with("crates") && one.level() == ORDER.len());
        unplaced
            .map(|one| one.breach(&one.name, format!("`{}` has no place in the order of crates {ORDER:?}", one.name)))
            .collect()
    }

    /// Dependencies that bring foreign code into the allocator.
    pub fn foreign(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for one in self.crates.iter().filter(|one| one.level() < ORDER.len()) {
            let foreign = one.dependencies.iter().filter(|dependency| {
                let allowed = FROM_ELSEWHERE.contains(&(one.name.as_str(), dependency.name.as_str()));
                dependency.ships && !dependency.local && !allowed
            });
            breaches.extend(foreign.map(|dependency| {
                let name = &dependency.name;
                one.breach(
                    name,
                    format!("`{name}` in the allocator: libc belongs in hakmem-os, more takes a decision record"),
                )
            }));
        }
        breaches
    }

    /// Dependencies from a registry whose version may change by itself.
    pub fn unpinned(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for one in &self.crates {
            let loose =
                one.dependencies.iter().filter(|dependency| !dependency.local && !dependency.version.starts_with('='));
            breaches.extend(loose.map(|dependency| {
                let Dependency { name, version, .. } = dependency;
                one.breach(
                    name,
                    format!("`{name}` is wanted as `{version}`: pin it, \"=x.y.z\", and say why it is there"),
                )
            }));
        }
        breaches
    }
}

impl Crate {
    fn new(package: &Value, root: &Path) -> Crate {
        let manifest = Path::new(text(&package["manifest_path"]));
        let dependencies = list(&package["dependencies"]).iter().map(|dependency| Dependency {
            name: text(&dependency["name"]).to_string(),
            version: text(&dependency["req"]).to_string(),
            local: dependency["path"].is_string(),
            ships: dependency["kind"].is_null(),
        });
        Crate {
            name: text(&package["name"]).to_string(),
            manifest: manifest.strip_prefix(root).expect("a member below the workspace's root").to_path_buf(),
            dependencies: dependencies.collect(),
        }
    }

    /// The row of the order this crate is in; tools come after all rows.
    fn level(&self) -> usize {
        ORDER.iter().position(|row| row.contains(&self.name.as_str())).unwrap_or(ORDER.len())
    }

    /// A breach at the line of the manifest that first says `word`.
    fn breach(&self, word: &str, message: String) -> Breach {
        let manifest = fs::read_to_string(crate::tree::root().join(&self.manifest)).unwrap_or_default();
        let says = |line: &str| line.trim_start().starts_with(word) || line.contains(&format!("\"{word}\""));
        let line = manifest.lines().position(says).map_or(1, |at| at + 1);
        Breach { file: self.manifest.clone(), line, message }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("cargo metadata has {value} where a string was expected"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("cargo metadata has {value} where a list was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A crate: its folder, its name, and its dependencies with their wanted versions; `*` is a local one.
    type Sketch<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

    fn workspace(crates: &[Sketch<'_>]) -> Workspace {
        let packages: Vec<Value> = crates
            .iter()
            .map(|(folder, name, dependencies)| {
                let dependencies: Vec<Value> = dependencies
                    .iter()
                    .map(|(name, version)| {
                        let path = (*version == "*").then_some("somewhere");
                        json!({ "name": name, "req": version, "path": path })
                    })
                    .collect();
                let manifest = format!("/w/{folder}/{name}/Cargo.toml");
                json!({ "name": name, "manifest_path": manifest, "dependencies": dependencies })
            })
            .collect();
        Workspace::from_metadata(&json!({ "workspace_root": "/w", "target_directory": "/w/t", "packages": packages }))
    }

    #[test]
    fn dependencies_may_go_down_but_neither_up_nor_sideways() {
        let down = workspace(&[
            ("crates", "hakmem-os", &[]),
            ("crates", "hakmem-core", &[("hakmem-os", "*")]),
            ("crates", "hakmem-capi", &[("hakmem-os", "*"), ("hakmem-core", "*")]),
            ("tools", "one", &[("hakmem-core", "*"), ("two", "*")]),
            ("tools", "two", &[]),
        ]);
        assert_eq!(down.upward(), []);
        let wrong = workspace(&[
            ("crates", "hakmem-os", &[("hakmem-core", "*")]),
            ("crates", "hakmem-core", &[("one", "*")]),
            ("crates", "hakmem-capi", &[("hakmem-alloc", "*")]),
            ("crates", "hakmem-alloc", &[]),
            ("tools", "one", &[]),
        ]);
        assert_eq!(wrong.upward().len(), 3);
    }

    #[test]
    fn a_new_crate_needs_a_place_in_the_order() {
        let names: Vec<Breach> = workspace(&[("crates", "new", &[]), ("tools", "tool", &[])]).unplaced();
        assert_eq!(
            names.iter().map(|breach| breach.file.as_path()).collect::<Vec<_>>(),
            [Path::new("crates/new/Cargo.toml")]
        );
    }

    #[test]
    fn versions_are_pinned() {
        let one = workspace(&[("tools", "tool", &[("a", "=1.2.3"), ("b", "^1.2"), ("c", "*")])]);
        assert_eq!(one.unpinned().len(), 1);
    }
    #[test]
    fn foreign_code_comes_in_by_one_crate() {
        let one = workspace(&[
            ("crates", "hakmem-os", &[("libc", "=1.0.0"), ("other", "=1.0.0")]),
            ("crates", "hakmem-core", &[("libc", "=1.0.0"), ("hakmem-os", "*")]),
            ("tools", "tool", &[("libc", "=1.0.0")]),
        ]);
        assert_eq!(one.foreign().len(), 2);
    }
}
