//! What every 64 KiB of address space is, and the memory for descriptors.

pub mod metadata;
pub mod page_map;
