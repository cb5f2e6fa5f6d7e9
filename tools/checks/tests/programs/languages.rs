//! Programs in interpreted and compiled languages: perl, python3, lua, node, and one in Rust made on the spot.

use crate::presence::input;
use crate::scene::{Scene, Step, compare};

#[test]
fn perl() {
    compare("perl", &["perl"], |scene| {
        scene.run(Step::new("perl").arg(input("perl/work.pl")).env("PERL_HASH_SEED", "0").status(3));
    });
}

#[test]
fn lua() {
    compare("lua", &["lua5.4"], |scene| {
        scene.run(Step::new("lua5.4").arg(input("lua/work.lua")).status(5));
    });
}

#[test]
fn node() {
    compare("node", &["node"], |scene| {
        scene.run(Step::new("node").arg(input("node/work.js")).status(9));
    });
}

#[test]
fn python_data_and_threads() {
    compare("python_data_and_threads", &["python3"], |scene| {
        let python = interpreter(scene);
        scene.run(python_step(&python).arg(input("python/data.py")).status(6));
        // And once more with every Python object in a block of malloc.
        scene.run(python_step(&python).arg(input("python/data.py")).env("PYTHONMALLOC", "malloc").status(6));
    });
}

#[test]
fn python_processes() {
    compare("python_processes", &["python3"], |scene| {
        let python = interpreter(scene);
        scene.run(python_step(&python).arg(input("python/processes.py")));
        scene.run(python_step(&python).arg(input("python/processes.py")).env("PYTHONMALLOC", "malloc"));
    });
}

#[test]
fn python_extension() {
    compare("python_extension", &["python3", "python3-config", "gcc"], |scene| {
        let python = interpreter(scene);
        let show_headers = "import sysconfig; print(sysconfig.get_paths()['include'])";
        let headers = scene.prepare(python_step(&python).arg("-c").arg(show_headers));
        scene.prepare(
            Step::new("gcc")
                .args("-shared -fPIC -O2 -Wall -Wextra -Werror -pthread -o extension.so -I")
                .arg(headers.trim())
                .arg(input("python/extension.c")),
        );
        scene.run(python_step(&python).arg(input("python/extension_use.py")));
        scene.run(python_step(&python).arg(input("python/extension_use.py")).env("PYTHONMALLOC", "malloc"));
    });
}

/// The interpreter itself: the program in `PATH` may be a script that looks for it.
pub fn interpreter(scene: &mut Scene) -> String {
    let shown = scene.prepare(Step::new("python3").args("-c").arg("import sys; print(sys.executable)"));
    shown.trim().into()
}

/// A run of the interpreter that is the same every time.
pub fn python_step(python: &str) -> Step {
    Step::new(python).env("PYTHONHASHSEED", "0").env("PYTHONDONTWRITEBYTECODE", "1")
}

#[test]
fn rust() {
    compare("rust", &[], |scene| {
        let home = std::env::var_os("HOME").unwrap_or_default();
        let compiler = Step::new("rustc").env("HOME", home).args("--edition 2024 -O -o program");
        scene.prepare(compiler.arg(input("rust/work.rs")));
        scene.run(Step::new(scene.work().join("program")).status(4));
    });
}
