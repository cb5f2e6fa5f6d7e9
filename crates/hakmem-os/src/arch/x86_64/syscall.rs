//! Raw system calls: they leave `errno` alone, and a program that interposes `mmap` cannot recurse into the allocator.
//!
//! # Safety
//! One instruction is unsafe here; what a call does to memory is its caller's obligation.

use core::arch::asm;

/// Makes system call `number`; the result is the kernel's, `-errno` on failure.
///
/// # Safety
/// The arguments must be ones with which this call breaks no memory that Rust code relies on.
#[inline]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the x86-64 Linux convention: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are lost.
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
