//! The page map, which says what each slab of address space holds, and the memory for descriptors and tables.

pub mod metadata;
pub mod page_map;
