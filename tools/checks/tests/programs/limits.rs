//! Programs that get little address space: the most that any of their processes needs on the C library's malloc, and
//! 256 MB more.

use crate::compilers::large_c;
use crate::languages::{interpreter, python_step};
use crate::presence::input;
use crate::scene::{Scene, Step, compare};

/// Kilobytes that the library may take more than glibc's malloc: its tables, its segments.
const MORE: u64 = 256 << 10;

/// The most address space in kilobytes that a process of `step` had, `step` itself or what it started.
fn need(scene: &mut Scene, step: Step) -> u64 {
    let (peak, file) = (scene.work().join("peak.so"), scene.work().join("peaks"));
    scene.prepare(Step::new("gcc").args("-shared -fPIC -O1 -o").arg(&peak).arg(input("peak.c")));
    scene.prepare(step.env("LD_PRELOAD", &peak).env("PEAK_FILE", &file));
    let peaks = std::fs::read_to_string(&file).expect("the program's processes told their peaks");
    std::fs::remove_file(&file).expect("the file goes");
    peaks.lines().map(|line| line.parse().expect("a number of kilobytes")).max().expect("a peak")
}

#[test]
fn python_with_little_address_space() {
    compare("python_with_little_address_space", &["python3", "gcc"], |scene| {
        let python = interpreter(scene);
        let script = || python_step(&python).arg(input("python/data.py")).status(6);
        let with_malloc = || script().env("PYTHONMALLOC", "malloc");
        let limit = need(scene, script()) + MORE;
        scene.run(script().address_space(limit));
        let limit = need(scene, with_malloc()) + MORE;
        scene.run(with_malloc().address_space(limit));
    });
}

#[test]
fn gcc_with_little_address_space() {
    compare("gcc_with_little_address_space", &["gcc"], |scene| {
        scene.write("large.c", large_c(500));
        let compile = || Step::new("gcc").args("-O1 -g -Wall -o large large.c");
        let limit = need(scene, compile()) + MORE;
        scene.run(compile().address_space(limit));
        scene.keep("large");
    });
}
