//! Starts a thread without the C library: the system call `clone`, whose child must not return into the frame of its parent.
//!
//! # Safety
//! The new thread runs on a stack that the caller of `start` gives away, and the thread pointer is the upper end of that stack. So
//! code that runs there must not use the slot, `errno` or any other thread-local variable: they would lie in the stack.

use core::arch::asm;

/// Starts a thread that runs `entry`, with `flags` for `clone`. Its stack grows downwards from `middle`, and its thread pointer is
/// `middle` as well. The kernel writes the thread's number to `number`, and, if the flags say so, zero at its end. The result is the
/// kernel's: a number above zero, or `-errno`.
///
/// # Safety
/// `middle` is aligned to 16. Nothing else uses the memory around it, which is never unmapped. Below, there is enough of it for
/// `entry`; above, there are zero bytes, enough for what compiled code looks for there, such as the word of the stack protector.
/// `number` lives as long as the thread, and the flags include `CLONE_VM`, `CLONE_THREAD` and `CLONE_SETTLS`.
pub unsafe fn start(flags: usize, middle: usize, number: *mut u32, entry: extern "C" fn() -> !) -> isize {
    // The ABI has the thread pointer's own value at its beginning.
    // SAFETY: the caller's memory, which no thread uses yet.
    unsafe { (middle as *mut usize).write(middle) };
    let result: isize;
    // SAFETY: the kernel's convention for clone: flags, stack, two places for the number, thread pointer. The child has zero in rax.
    // Its stack is aligned to 16, as a call expects. The register that backtraces follow is zero, so they end here.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags, in("rsi") middle, in("rdx") number, in("r10") number, in("r8") middle, in("r9") entry,
            // Not `lateout`: the compiler might choose rcx or r11 for an input, and the kernel overwrites both before `call` reads it.
            out("rcx") _, out("r11") _,
        );
    }
    result
}
