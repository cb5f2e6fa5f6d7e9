//! Segments: 2 MiB of address space in 32 slabs, and the one word that says which of them are free.

mod state;
mod descriptor;
mod registry;
mod mapping;
mod fork;

pub use descriptor::{Claim, Segment, containing, span_of};
pub use fork::after_fork_in_child;
pub use mapping::{map, mark_retired, release_retired};
pub use registry::{all, last_number, mapped, number};
pub use state::State;
