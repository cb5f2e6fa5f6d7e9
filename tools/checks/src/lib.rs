//! The harness of the checks: the library as it ships, small C and C++ programs compiled against it, and runs of them
//! that end in time and tell all they said.

mod library;
mod program;
mod run;

pub use library::{Library, library, source_tree};
pub use program::{Plugin, Program};
pub use run::{HANGS_AFTER, Outcome, Run};
