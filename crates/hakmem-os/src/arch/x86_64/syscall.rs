//! Raw system calls, for everything the allocator asks of the kernel: they leave `errno` alone, and a program that replaces
//! `mmap` by a function of its own cannot recurse into the allocator.
//!
//! # Safety
//! The instruction itself is safe. What a call does to memory is the obligation of its caller.

use core::arch::asm;
use core::ffi::c_long;

/// Makes system call `number`. The result is the kernel's: `-errno` on failure.
///
/// # Safety
/// The call with these arguments must not change memory that Rust code relies on.
#[inline]
pub unsafe fn syscall(number: c_long, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's convention: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are lost.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    result
}

/// System calls in which threads wait for work and that newer architectures do not have, each with the place of the argument that
/// is a signal mask. See the list in `sys/linux/task.rs`.
pub const OLDER_WAITS: &[(c_long, Option<usize>)] =
    &[(libc::SYS_poll, None), (libc::SYS_select, None), (libc::SYS_epoll_wait, None)];
