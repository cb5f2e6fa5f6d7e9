//! Where the built library is; builds it first, so that no check runs on a stale one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names another shared library to run the programs on, to compare its conduct; `none` is the C library's own malloc.
const OTHER_LIBRARY: &str = "CHECK_LIBRARY";

/// What is checked.
pub struct Library {
    /// libhakmem.so; `None` when the C library's own malloc is to be checked.
    pub shared: Option<PathBuf>,
    /// libhakmem.a.
    pub archive: PathBuf,
    /// The directory of hakmem.h.
    pub include: PathBuf,
}

impl Library {
    /// The path of the shared library, for checks of the file itself.
    pub fn shared(&self) -> &Path {
        self.shared.as_deref().expect("this check needs a shared library: unset CHECK_LIBRARY")
    }
}

/// The root of the workspace.
pub fn source_tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The library of this source tree in the release profile, built once per test program.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let release = target_directory().join("release");
        let shared = match env::var_os(OTHER_LIBRARY) {
            None => {
                build();
                Some(release.join("libhakmem.so"))
            }
            Some(name) if name == "none" => None,
            Some(path) => Some(PathBuf::from(path)),
        };
        if let Some(path) = &shared {
            assert!(path.is_file(), "{} is not there", path.display());
        }
        let include = source_tree().join("crates/hakmem-capi/include");
        Library { shared, archive: release.join("libhakmem.a"), include }
    })
}

fn build() {
    let output = Command::new(env!("CARGO"))
        .current_dir(source_tree())
        .args(["build", "--quiet", "--release", "--package", "hakmem-capi", "--target-dir"])
        .arg(target_directory())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "the library does not build:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The directory that cargo builds in: a test program is at <target>/<profile>/deps/<name>.
fn target_directory() -> PathBuf {
    let program = env::current_exe().expect("the path of this test program");
    program.ancestors().nth(3).expect("a test program lies three levels below the target directory").to_path_buf()
}
