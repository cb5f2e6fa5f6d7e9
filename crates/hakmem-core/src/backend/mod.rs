//! Memory in large pieces, shared by all threads: segments and their slabs, spans, medium blocks, large blocks. Knows no heap.

pub mod purge;
pub mod span;
pub mod availability;
pub mod huge_pages;
pub mod prefault;
pub mod segment;
pub mod slabs;
pub mod medium;
pub mod large_cache;
pub mod large;
