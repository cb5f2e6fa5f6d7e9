//! What differs from one kernel to another.
pub mod linux;
