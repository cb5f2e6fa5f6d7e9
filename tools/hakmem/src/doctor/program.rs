//! One program: how it is started, how it is linked, and whose malloc it calls.

use super::elf::{self, Elf};
use super::signs::Meaning;
use super::{Finding, loader, privileges, script};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The C library and the dynamic linker, whose malloc is the one that is replaced.
const SYSTEM: [&str; 2] = ["libc.so.", "ld-linux"];

/// All findings about `program`, as far as it can be followed.
pub fn examine(program: &Path, library: &Path) -> Vec<Finding> {
    let chain = match script::locate(program).and_then(script::follow) {
        Ok(chain) => chain,
        Err(error) => return vec![Finding::problem("program", format!("{}: {error:#}", program.display()))],
    };
    // Behind symbolic links, because `$ORIGIN` in a library path means the directory of the file itself.
    let file = &chain[chain.len() - 1].canonicalize().unwrap_or_else(|_| chain[chain.len() - 1].clone());
    let mut findings = vec![identity(&chain), privileges::examine(file)];
    match elf::read(file) {
        Ok(elf) => findings.extend(contents(file, &elf, library)),
        Err(error) => findings.push(Finding::problem("format", format!("{}: {error:#}", file.display()))),
    }
    findings
}

fn identity(chain: &[PathBuf]) -> Finding {
    let names: Vec<String> = chain.iter().map(|file| file.display().to_string()).collect();
    match names.as_slice() {
        [name] => Finding::ok("program", name),
        names => Finding::note(
            "program",
            format!("a script: {}; check the programs it starts by themselves", names.join(" is run by ")),
        ),
    }
}

fn contents(file: &Path, elf: &Elf, library: &Path) -> Vec<Finding> {
    let mut libraries = Vec::new();
    let mut findings = vec![linking(file, elf, library, &mut libraries)];
    findings.push(own_allocator(elf));
    findings.extend(asked_by_name(elf));
    findings.extend(libraries.iter().filter_map(|(path, elf)| brought_along(path, elf)));

    let everywhere: BTreeSet<Meaning> = libraries
        .iter()
        .map(|(_, elf)| elf)
        .chain([elf])
        .flat_map(|elf| elf.defines.union(&elf.imports))
        .copied()
        .collect();
    findings.extend(everywhere.iter().filter_map(|meaning| match meaning {
        Meaning::Sanitizer(name) => Some(Finding::problem(
            "sanitizer",
            format!("{name} needs its own malloc; build the program without it to run on HAKMEM"),
        )),
        Meaning::Pool(what) => Some(Finding::note("pools", *what)),
        _ => None,
    }));
    findings
}

/// Whether the library can be put in front; `libraries` gets what else the program loads.
fn linking(file: &Path, elf: &Elf, library: &Path, libraries: &mut Vec<(PathBuf, Elf)>) -> Finding {
    const SUBJECT: &str = "linking";
    let Some(linker) = &elf.interpreter else {
        return match elf.defines.contains(&Meaning::Hakmem) {
            true => Finding::ok(SUBJECT, "static, with HAKMEM inside; it needs no preload"),
            false => Finding::problem(SUBJECT, "static, so nothing can be preloaded; link it with libhakmem.a"),
        };
    };
    let name = linker.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("ld-musl") {
        let text =
            format!("against musl ({}); HAKMEM is built for glibc, build the program for it too", linker.display());
        return Finding::problem(SUBJECT, text);
    }
    if !name.starts_with("ld-linux-x86-64") {
        let text = format!("its dynamic linker, {}, is not that of glibc for x86-64", linker.display());
        return Finding::problem(SUBJECT, text);
    }
    let loaded = match loader::list(linker, file, library) {
        Ok(loaded) => loaded,
        Err(error) => return Finding::problem(SUBJECT, format!("the dynamic linker refuses it: {error:#}")),
    };
    if loaded.first().map(PathBuf::as_path) != Some(library) {
        let text =
            format!("the dynamic linker does not put {} first; `hakmem run` shows its reason", library.display());
        return Finding::problem(SUBJECT, text);
    }
    let others = loaded.into_iter().filter(|path| path != library && !is_system(path));
    libraries.extend(others.filter_map(|path| elf::read(&path).ok().map(|elf| (path, elf))));
    Finding::ok(SUBJECT, format!("dynamic, and the linker puts {} first", library.display()))
}

fn is_system(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    SYSTEM.iter().any(|system| name.starts_with(system))
}

fn own_allocator(elf: &Elf) -> Finding {
    const SUBJECT: &str = "allocator";
    let inside = names(&elf.defines);
    if elf.defines.contains(&Meaning::Hakmem) {
        Finding::ok(SUBJECT, "HAKMEM is linked into the program")
    } else if !inside.is_empty() {
        Finding::problem(SUBJECT, format!("the program has its own inside ({inside}) and uses that; build it without"))
    } else if elf.defines.contains(&Meaning::Malloc) {
        Finding::problem(SUBJECT, "the program defines malloc itself and uses that; build it without")
    } else {
        Finding::ok(SUBJECT, "no sign of another one inside the program")
    }
}

fn asked_by_name(elf: &Elf) -> Option<Finding> {
    let asked = names(&elf.imports);
    let text =
        || format!("the program calls {asked} by its own names, and those blocks stay there; build it for malloc");
    (!asked.is_empty()).then(|| Finding::problem("allocator", text()))
}

/// A library with an allocator inside: its malloc comes after HAKMEM's, so nobody calls it.
fn brought_along(path: &Path, elf: &Elf) -> Option<Finding> {
    let inside = names(&elf.defines);
    let inside = match (inside.is_empty(), elf.defines.contains(&Meaning::Malloc)) {
        (false, _) => inside,
        (true, true) => "a malloc".to_owned(),
        (true, false) => return None,
    };
    let text =
        format!("{} has {inside} inside; malloc is HAKMEM's, only calls by other names go there", path.display());
    Some(Finding::note("library", text))
}

/// The allocators among `meanings`, with commas.
fn names(meanings: &BTreeSet<Meaning>) -> String {
    let names = meanings.iter().filter_map(|meaning| match meaning {
        Meaning::Allocator(name) => Some(*name),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}
