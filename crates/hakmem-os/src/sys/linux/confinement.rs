//! The system calls by which a program confines itself: filters of system calls, and namespaces that only a process with one thread
//! may enter. The C library's functions for them, with a word before.
//!
//! # Safety
//! Each makes the call that its caller asked for, with the caller's arguments.

use crate::arch::syscall::syscall;
use crate::process::set_errno;
use core::ffi::{c_int, c_long};

/// Whether these arguments of `prctl` install a filter of system calls.
pub fn installs_filter(option: c_int) -> bool {
    option == libc::PR_SET_SECCOMP
}

/// Whether `unshare` with these flags wants a process with one thread: see `unshare(2)`.
pub fn wants_one_thread(flags: c_int) -> bool {
    flags & (libc::CLONE_NEWUSER | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_VM) != 0
}

/// `prctl`.
///
/// # Safety
/// As `prctl`.
pub unsafe fn prctl(option: c_int, arguments: [usize; 4]) -> c_int {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the caller's.
    answer(unsafe { syscall(libc::SYS_prctl, [option as usize, first, second, third, fourth, 0]) }) as c_int
}

/// The call `seccomp`, for which the C library has no function of its own.
///
/// # Safety
/// As `seccomp`.
pub unsafe fn seccomp(arguments: [usize; 3]) -> c_long {
    let [operation, flags, filter] = arguments;
    // SAFETY: the caller's.
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

/// What the C library makes of the kernel's answer: -1 and `errno` for a failure.
#[doc(hidden)]
pub extern "C" fn answer(result: isize) -> isize {
    if (-4095..0).contains(&result) {
        set_errno(-result as c_int);
        return -1;
    }
    result
}

/// Defines the exported symbol `syscall`, which makes any call as the C library's does, but for `seccomp`: that goes to the function
/// given, which gets its three arguments.
///
/// It keeps nothing on the stack, since some calls return twice.
#[macro_export]
macro_rules! export_syscall {
    ($seccomp:path) => {
        /// The C library's `syscall`, which notices when the program is about to install a filter of system calls.
        ///
        /// # Safety
        /// As the call that is made.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn syscall(number: core::ffi::c_long) -> core::ffi::c_long {
            core::arch::naked_asm!(
                "mov rax, rdi",
                "mov rdi, rsi",
                "mov rsi, rdx",
                "mov rdx, rcx",
                "cmp rax, {number}",
                "je {seccomp}",
                "mov r10, r8",
                "mov r8, r9",
                "mov r9, qword ptr [rsp + 8]",
                "syscall",
                "cmp rax, -4095",
                "jae 2f",
                "ret",
                "2: mov rdi, rax",
                "jmp {answer}",
                number = const $crate::confinement::SECCOMP,
                seccomp = sym $seccomp,
                answer = sym $crate::confinement::answer,
            )
        }
    };
}

/// The number of the call `seccomp`.
pub const SECCOMP: c_long = libc::SYS_seccomp;
