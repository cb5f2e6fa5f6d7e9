//! When free memory goes back to the system. Knows no heap.

pub mod purge_lock;
pub mod limits;
pub mod decay;
