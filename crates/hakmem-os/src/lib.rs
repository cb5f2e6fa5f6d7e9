//! OS box: the kernel, the processor and the C library, behind one narrow boundary.
//!
//! Answers for: mapping memory and giving it back, the clock, the lock, the thread-local slot, thread exit, forks, and functions of
//! libc. It is the only crate with system calls, assembly and `cfg(target_...)`.
//! Contract: nothing here allocates, panics or changes `errno`, except for functions that say so. Each call of the kernel may fail, and
//! the function that makes it reports that.
//! Called by: the cold parts of `hakmem-core`, its fast paths for the slot, and `hakmem-capi` for start-up.
//! Observable: [`kernel::calls`], the number of kernel calls by kind.
//!
//! The folders are split by what changes. The modules, bottom up; each uses only those above it in this list:
//!
//! 1. `arch` - one processor architecture: slot, raw system call, start of a thread, jumps, page size, address bits
//! 2. `atomic` - the words that threads share
//! 3. `libc` - one C library: thread exit, fork handlers, `errno`, functions looked up
//! 4. `sys` - one kernel: memory, clock, lock, files, forks, the helper thread
//!
//! Other crates see none of these folders. They see the modules that are re-exported below, whose names stay the same on every
//! platform:
//!
//! | For | there is |
//! |---|---|
//! | memory | [`vm`] with `PAGE` and `ADDRESS_BITS`, [`kernel`] |
//! | threads | [`slot`], [`thread`], [`task`], [`helper`], [`atomic`], [`futex`] |
//! | the process | [`process`], [`fork`], [`pin`], [`confinement`], [`libc_calls`] |
//! | the system | [`cgroup`], [`console`] |
//! | the processor | [`cpu`] |
//!
//! Under `cfg(loom)`, in a model, `model` stands in for the slot, the atomics, the futex, the kernel and thread exit.
#![no_std]

#[cfg(loom)]
extern crate std;
#[cfg(all(test, not(loom)))]
extern crate std;

mod arch;
pub mod atomic;
mod libc;
#[cfg(loom)]
pub mod model;
mod sys;

pub use arch::cpu;
#[cfg(not(loom))]
pub use arch::slot;
pub use libc::glibc::{libc_calls, pin, process, thread};
#[cfg(loom)]
pub use model::slot;
pub use sys::linux::{cgroup, confinement, console, fork, futex, helper, kernel, task, vm};

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
