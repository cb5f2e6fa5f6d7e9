//! Real programs under the preload: each test does the same work twice, once without and once with the
//! library preloaded, and compares the output, the exit statuses and the files. `docs/programs.md`
//! says how to add one.

mod compilers;
mod data;
mod languages;
mod library;
mod limits;
mod presence;
mod process;
mod scene;
mod shell;
mod shortage;
