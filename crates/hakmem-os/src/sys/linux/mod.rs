//! The Linux kernel: raw system calls, and the files below `/proc` and `/sys`.
//!
//! Modules are declared bottom-up: each uses only those above it.

pub mod kernel; // memory and clock, as a table of functions
pub mod vm; // virtual memory in the shapes that the allocator asks for
pub mod futex; // the lock, and sleeping until a word changes
mod file; // the kernel's small files, without a heap
pub mod cgroup; // limits of memory, and pressure
#[cfg(not(loom))]
pub mod task; // what another thread is doing
pub mod console; // text to a file descriptor
pub mod confinement; // calls by which a program confines itself
pub mod fork; // the mark by which a child is told from its parent
pub mod helper; // a thread of the allocator's own
