//! Small C and C++ programs, compiled into a directory of their own.

use crate::library::{library, source_tree};
use crate::run::Run;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A compiled program; its directory is removed when it is dropped.
pub struct Program {
    directory: TempDir,
    executable: PathBuf,
}

/// A shared library that a program opens.
pub struct Plugin {
    /// Its file, in the program's directory.
    pub path: PathBuf,
}

/// Programs are compiled without the compiler's knowledge of malloc, which would remove calls whose result is unused,
/// and without warnings about the errors that some make on purpose.
const FLAGS: &[&str] = &[
    "-O1",
    "-g",
    "-pthread",
    "-fno-builtin",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-free-nonheap-object",
    "-Wno-use-after-free",
    "-Wno-alloc-size-larger-than",
    "-Wno-unused-result",
    "-Wno-deprecated-declarations",
];

impl Program {
    /// Compiles `source`, a path below tests/.
    pub fn build(source: &str) -> Program {
        Program::build_with(source, &[] as &[&str])
    }

    /// The same with further arguments for the compiler: libraries, ways to link.
    pub fn build_with(source: &str, arguments: &[impl AsRef<OsStr>]) -> Program {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let source = source_tree().join("tests").join(source);
        let executable = directory.path().join(source.file_stem().expect("a source has a name"));
        let arguments: Vec<OsString> = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
        compile(&source, &executable, &arguments);
        Program { directory, executable }
    }

    /// Compiles `source`, a path below tests/, as a shared library called `name` in the program's directory.
    pub fn plugin(&self, source: &str, name: &str) -> Plugin {
        self.plugin_with(source, name, &[])
    }

    /// The same with further arguments for the compiler.
    pub fn plugin_with(&self, source: &str, name: &str, arguments: &[&str]) -> Plugin {
        let path = self.directory().join(name);
        let mut all: Vec<OsString> = vec!["-shared".into(), "-fPIC".into()];
        all.extend(arguments.iter().map(Into::into));
        compile(&source_tree().join("tests").join(source), &path, &all);
        Plugin { path }
    }

    /// The directory of the program, its plugins and the files that it writes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The program's file.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// A run on the library, preloaded.
    pub fn preloaded(&self) -> Run {
        self.plain().env("LD_PRELOAD", &library().shared)
    }

    /// A run without a preload: on the C library's own malloc, or on a library that was named at build time.
    pub fn plain(&self) -> Run {
        Run::new(&self.executable).current_dir(self.directory())
    }
}

fn compile(source: &Path, output: &Path, arguments: &[OsString]) {
    let (compiler, dialect) = match source.extension().and_then(OsStr::to_str) {
        Some("c") => ("cc", &["-std=gnu11"][..]),
        Some("cc") => ("c++", &["-std=c++20", "-Wno-mismatched-new-delete"][..]),
        _ => panic!("{}: neither .c nor .cc", source.display()),
    };
    let output = Command::new(compiler)
        .args(dialect)
        .args(FLAGS)
        .arg("-I")
        .arg(&library().include)
        .arg("-o")
        .arg(output)
        .arg(source)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; the checks need a C and a C++ compiler"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {}:\n{said}", source.display());
}
