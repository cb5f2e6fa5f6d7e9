//! OS box: the kernel, the CPU and the C library, behind one narrow seam.
//!
//! Answers for: mapping and giving back memory, the clock, the futex lock, the thread-local slot, thread exit, fork, and
//! asking libc for its own functions. It is the only crate with system calls, inline assembly and `cfg(target_*)`.
//! Contract: nothing here allocates, panics or touches `errno`; every kernel call may fail and says so.
//! Called by: the cold parts of `hakmem-core`, and `hakmem-capi` for start-up.
//! Observable: [`kernel::calls`], the number of kernel calls by kind.
#![no_std]

#[cfg(loom)]
extern crate std;
#[cfg(all(test, not(loom)))]
extern crate std;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
compile_error!("HAKMEM runs on 64-bit x86 Linux; another target needs its own slot.rs and syscall.rs");

pub mod atomic;
pub mod cgroup;
pub mod confinement;
pub mod console;
pub mod cpu;
pub mod file;
pub mod fork;
pub mod futex;
pub mod helper;
pub mod kernel;
pub mod libc_calls;
#[cfg(loom)]
pub mod model;
pub mod pin;
pub mod process;
#[cfg(loom)]
pub use model::{slot, task};
#[cfg(not(loom))]
pub mod slot;
mod syscall;
#[cfg(not(loom))]
pub mod task;
pub mod thread;
pub mod vm;
