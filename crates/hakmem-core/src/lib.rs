//! The HAKMEM allocator.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod policy;
