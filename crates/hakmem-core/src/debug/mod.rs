//! Looks at the whole process, slab by slab and block by block, and compares what it finds with what was counted.

mod census;
mod validate;

pub use census::{Census, census};
pub use validate::{Fault, validate};
