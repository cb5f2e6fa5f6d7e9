//! The Linux kernel: raw system calls, and the files below `/proc` and `/sys`.
//!
//! The modules, bottom up; each uses only those above it in this list:
//!
//! 1. `kernel` - memory and clock as a table of functions
//! 2. `vm` - virtual memory in the shapes that the allocator asks for
//! 3. `futex` - the lock, and sleeping until a word changes
//! 4. `file` - small files, read without a heap
//! 5. `cgroup` - limits of memory and pressure, from files
//! 6. `task` - what another thread is doing, from files
//! 7. `console` - text to a file descriptor
//! 8. `confinement` - calls by which a program confines itself
//! 9. `fork` - the mark by which a child is told from its parent
//! 10. `helper` - a thread of the allocator's own

pub mod cgroup;
pub mod confinement;
pub mod console;
mod file;
pub mod fork;
pub mod futex;
pub mod helper;
pub mod kernel;
pub mod task;
pub mod vm;
