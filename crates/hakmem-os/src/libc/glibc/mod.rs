//! The GNU C library, and what all C libraries on Linux have.
//!
//! Modules are declared bottom-up: each uses only those above it.

pub mod process; // facts about the process, and `errno`
pub mod atfork; // a call in each child made by `fork`
pub mod thread; // a call at the exit of a thread, and its number
pub mod libc_calls; // the library's own allocator, loader and streams
pub mod pin; // keeps the object loaded that this code is in
