//! The HAKMEM allocator. It is no_std, allocates nothing and never panics.
//!
//! The folders are the boxes of ARCHITECTURE.md. Here and in the `mod.rs` of each folder the modules are declared from
//! the bottom up: a module uses only modules that are declared above it. A test checks this order.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod policy; // every tunable number, as one immutable snapshot
pub mod base; // size classes, shared words, memory accounting, demand word, reports of misuse, wake-up of the scavenger
pub mod map; // page map, and memory for descriptors
pub mod backend; // spans, segments, slabs, medium and large blocks, large cache, huge pages
pub mod reclaim; // decides when free memory goes back to the system: limits, decay, purges
pub mod heap; // thread heaps: the fast paths of malloc and free, and the slow paths behind them
pub mod scavenger; // the thread that gives memory back while the program idles
pub mod stats; // the counters of all heaps, added up on demand
pub mod debug; // validator and census, which walk the whole heap
pub mod process; // settings from the environment, start and end of the process
