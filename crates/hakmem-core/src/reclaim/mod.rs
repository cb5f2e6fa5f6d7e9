//! When free memory goes back to the system. Knows no heap.
//!
//! ```text
//!   slow paths, accounting, the end of a thread --note--> base::demand --take--> answer --+--> purge: slabs, large cache
//!   the scavenger, twice in the decay time ------------------------------------> answer --+
//! ```

pub mod purge_lock;
pub mod purge;
pub mod limits;
pub mod decay;
mod answer;

pub use answer::{answer, answer_holding};
