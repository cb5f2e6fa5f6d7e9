//! The harness of the checks: the library as it ships, small C and C++ programs compiled against it, and runs of these
//! programs with a limit on their time and a record of their output.

mod library;
mod program;
mod run;

pub use library::{Library, library, source_tree};
pub use program::{Plugin, Program};
pub use run::{HANGS_AFTER, Outcome, Run};
