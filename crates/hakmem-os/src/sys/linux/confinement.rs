//! The system calls by which a program confines itself: it installs a filter of system calls, or enters namespaces that only a process
//! with one thread may enter. The shared library exports functions of these names, which first tell the allocator, and then call the
//! ones here.
//!
//! It relies on the raw system call, and sets `errno` as the C library's functions do.
//!
//! # Safety
//! Each function makes the call that its caller asked for, with the caller's arguments.

use super::kernel::failed;
use crate::arch::syscall::syscall;
use crate::libc::glibc::process::set_errno;
use core::ffi::{c_int, c_long};

/// Whether these arguments of `prctl` install a filter of system calls.
pub fn installs_filter(option: c_int) -> bool {
    option == libc::PR_SET_SECCOMP
}

/// Whether `unshare` with these flags requires a process with one thread: see `unshare(2)`.
pub fn wants_one_thread(flags: c_int) -> bool {
    flags & (libc::CLONE_NEWUSER | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_VM) != 0
}

/// `prctl`.
///
/// # Safety
/// As `prctl`.
pub unsafe fn prctl(option: c_int, arguments: [usize; 4]) -> c_int {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the caller vouches for the call.
    answer(unsafe { syscall(libc::SYS_prctl, [option as usize, first, second, third, fourth, 0]) }) as c_int
}

/// The call `seccomp`, for which the C library has no function of its own.
///
/// # Safety
/// As `seccomp`.
pub unsafe fn seccomp(arguments: [usize; 3]) -> c_long {
    let [operation, flags, filter] = arguments;
    // SAFETY: the caller vouches for the call.
    answer(unsafe { syscall(libc::SYS_seccomp, [operation, flags, filter, 0, 0, 0]) }) as c_long
}

/// `unshare`.
pub fn unshare(flags: c_int) -> c_int {
    // SAFETY: no memory is involved.
    answer(unsafe { syscall(libc::SYS_unshare, [flags as usize, 0, 0, 0, 0, 0]) }) as c_int
}

/// `setns`.
pub fn setns(descriptor: c_int, kind: c_int) -> c_int {
    // SAFETY: no memory is involved.
    answer(unsafe { syscall(libc::SYS_setns, [descriptor as usize, kind as usize, 0, 0, 0, 0]) }) as c_int
}

/// Turns the kernel's answer into that of a function of the C library: -1 and `errno` for an error.
#[doc(hidden)]
pub extern "C" fn answer(result: isize) -> isize {
    if failed(result) {
        set_errno(-result as c_int);
        return -1;
    }
    result
}

/// The number of the call `seccomp`.
pub const SECCOMP: c_long = libc::SYS_seccomp;
