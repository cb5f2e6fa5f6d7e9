//! Real programs under the preload: each test does the same work twice, once as the system has it and once with the
//! library preloaded, and holds the output, the exit statuses and the files made against each other. `docs/programs.md`
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
