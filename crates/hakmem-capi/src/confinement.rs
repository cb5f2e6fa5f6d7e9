//! `prctl`, `syscall`, `unshare` and `setns`: the C library's, with a word to the scavenger before a program confines itself.
//!
//! A filter of system calls may end the program for any call that the program itself does not make, and whether there is a filter
//! cannot be asked without such a call. So it is noticed when one is installed, through the functions that programs and libraries
//! use for that. And some namespaces can only be entered by a process with one thread: the scavenger ends for them.
//!
//! # Safety
//! As the functions that they stand for.

use core::ffi::{c_int, c_long};
use hakmem_core::base::wake_up;
use hakmem_os::confinement;

/// `prctl`.
///
/// # Safety
/// As `prctl`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(option: c_int, first: usize, second: usize, third: usize, fourth: usize) -> c_int {
    // SAFETY: the caller's.
    let call = || unsafe { confinement::prctl(option, [first, second, third, fourth]) };
    if confinement::installs_filter(option) { wake_up::shut_in_by(call, |result| result == 0) } else { call() }
}

extern "C" fn seccomp(operation: usize, flags: usize, filter: usize) -> c_long {
    // SAFETY: the caller of `syscall` vouches for the call.
    wake_up::shut_in_by(|| unsafe { confinement::seccomp([operation, flags, filter]) }, |result| result == 0)
}

hakmem_os::export_syscall!(seccomp);

/// `unshare`.
#[unsafe(no_mangle)]
pub extern "C" fn unshare(flags: c_int) -> c_int {
    let call = || confinement::unshare(flags);
    if confinement::wants_one_thread(flags) { wake_up::without_scavenger(call, |result| result == 0) } else { call() }
}

/// `setns`.
#[unsafe(no_mangle)]
pub extern "C" fn setns(descriptor: c_int, kind: c_int) -> c_int {
    wake_up::without_scavenger(|| confinement::setns(descriptor, kind), |result| result == 0)
}
