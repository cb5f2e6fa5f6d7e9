//! The HAKMEM allocator: no_std, allocates nothing, never panics.
//!
//! The folders are the boxes of ARCHITECTURE.md. They are declared below from the bottom up, here and in the `mod.rs` of each folder: a
//! module uses only modules that are declared above it. A test checks that.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod policy;
pub mod base;
pub mod map;
pub mod backend;
pub mod reclaim;
pub mod heap;
pub mod scavenger;
pub mod stats;
pub mod debug;
pub mod process;
