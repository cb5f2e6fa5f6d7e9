//! The validator and the census. Both walk the whole heap, slab by slab and block by block, so that tests can compare
//! what is there with what the counters say.

mod census;
mod validate;

pub use census::{Census, census};
pub use validate::{Fault, validate};
