//! OS box: the kernel, the processor and the C library, behind one narrow boundary.
//!
//! Answers for: mapping memory and giving it back, the clock, the lock, the thread-local slot, thread exit, forks, and functions of
//! libc. It is the only crate with system calls, assembly and `cfg(target_...)`.
//! Contract: nothing here allocates, panics or changes `errno`, except for functions that say so. Each call of the kernel may fail, and
//! the function that makes it reports that.
//! Called by: the cold parts of `hakmem-core`, its fast paths for the slot, and `hakmem-capi` for start-up.
//! Observable: [`kernel::calls`], the number of kernel calls by kind.
//!
//! The folders are split by what changes: the processor architecture, the C library, the kernel. Modules are declared bottom-up: each
//! uses only those above it. Other crates see none of the folders. They see the modules that are re-exported here, whose names are the
//! same on every platform:
//!
//! | For | there is |
//! |---|---|
//! | memory | [`vm`] with `PAGE` and `ADDRESS_BITS`, [`kernel`] |
//! | threads | [`slot`], [`thread`], [`task`], [`helper`], [`atomic`], [`futex`] |
//! | the process | [`process`], [`fork`], [`pin`], [`confinement`], [`libc_calls`] |
//! | the system | [`cgroup`], [`console`] |
//! | the processor | [`cpu`] |
//!
//! Under `cfg(loom)`, in a model, `model` stands in for the slot, the atomics, the futex, the kernel, what it says of threads, and thread exit.
#![no_std]

#[cfg(loom)]
extern crate std;
#[cfg(all(test, not(loom)))]
extern crate std;

mod arch; // the processor: slot, raw system call, start of a thread, page size, width of addresses
pub mod atomic; // the words that threads share
mod libc; // the C library: thread exit, fork handlers, `errno`, functions that are looked up
mod sys; // the kernel: memory, clock, lock, files, forks, the helper thread
#[cfg(loom)]
pub mod model; // what stands in for some of these in a model

pub use arch::cpu;
#[cfg(not(loom))]
pub use arch::slot;
pub use libc::glibc::{libc_calls, pin, process, thread};
#[cfg(loom)]
pub use model::{slot, task};
#[cfg(not(loom))]
pub use sys::linux::task;
pub use sys::linux::{cgroup, confinement, console, fork, futex, helper, kernel, vm};

/// Defines the exported symbol `dlopen`. It is the loader's own function without the flag RTLD_DEEPBIND, which would give a plugin
/// libc's `malloc` and leave the program with blocks of two allocators.
#[macro_export]
macro_rules! export_dlopen {
    () => {
        $crate::jump_to_dlopen!($crate::libc_calls::real_dlopen, !$crate::libc_calls::RTLD_DEEPBIND);
    };
}

/// Defines the exported symbol `syscall`. It makes any system call as the C library's function does, except for `seccomp`: that call
/// goes to the function given, with its three arguments.
#[macro_export]
macro_rules! export_syscall {
    ($seccomp:path) => {
        $crate::jump_to_syscall!($crate::confinement::SECCOMP, $seccomp, $crate::confinement::answer);
    };
}
