//! A thread of the allocator's own, made without the C library: that would allocate for it, might hold locks at this moment, and
//! would count the program as one with threads from then on, which costs it locks and atomic operations.
//!
//! # Safety
//! The thread runs on a mapping that is never unmapped. Its thread pointer points into the same mapping, where all is zero:
//! code that runs there must not use the slot, `errno`, or any other thread-local variable.

use crate::kernel::{Call, count, kernel};
use crate::syscall::syscall;
use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of the mapping. The thread pointer lies in the middle: what compiled code may look for near it, such as the stack
/// protector's word, is there.
const BYTES: usize = 64 << 10;

/// Signals change places with this around the start: the new thread must get none of the program's.
const ALL: usize = usize::MAX;

/// The mapping, kept for a child of a fork to use again.
static STACK: AtomicUsize = AtomicUsize::new(0);

/// Starts a thread that runs `entry` for ever, with all signals blocked, and that shares everything with the process. At most
/// one at a time. False where the kernel refuses; `mapped` is told of bytes that are mapped for it.
pub fn start(entry: extern "C" fn() -> !, mapped: fn(usize)) -> bool {
    let mut stack = STACK.load(Relaxed);
    if stack == 0 {
        stack = (kernel().map)(0, BYTES, false);
        if stack == 0 {
            return false;
        }
        STACK.store(stack, Relaxed);
        mapped(BYTES);
    }
    // As the C library's own threads, or valgrind would not have it.
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS;
    let mut before = 0_usize;
    let mask = |set: &usize, old: *mut usize| {
        let how = libc::SIG_SETMASK as usize;
        // SAFETY: reads one word and writes the other, if given.
        unsafe { syscall(libc::SYS_rt_sigprocmask, [how, &raw const *set as usize, old as usize, 8, 0, 0]) };
    };
    mask(&ALL, &raw mut before);
    count(Call::Other);
    let middle = stack + BYTES / 2;
    // The thread's own pointer to itself, where the ABI has it.
    // SAFETY: inside the mapping, which no thread uses yet.
    unsafe { (middle as *mut usize).write(middle) };
    // SAFETY: the child runs on the lower half of the mapping, where nothing is in use, and never returns from `entry`.
    let result = unsafe { clone(flags as usize, middle, middle, entry) };
    mask(&before, core::ptr::null_mut());
    result > 0
}

/// The call whose child must not return into its parent's frame.
unsafe fn clone(flags: usize, stack: usize, tls: usize, entry: extern "C" fn() -> !) -> isize {
    let result: isize;
    // SAFETY: the x86-64 Linux convention for clone: flags, stack, two places for numbers, thread pointer. The child has zero in
    // rax, its stack aligned to 16 as a call expects, and a zero return address behind `call` ends backtraces.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call {entry}",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            entry = in(reg) entry,
            in("rdi") flags, in("rsi") stack, in("rdx") 0_usize, in("r10") 0_usize, in("r8") tls,
            // Not late: `entry` is read after the call of the kernel, which overwrites these two.
            out("rcx") _, out("r11") _,
        );
    }
    result
}

/// Gives the calling thread a name that `top` and debuggers show.
pub fn name(name: &core::ffi::CStr) {
    // SAFETY: reads a terminated string of at most 16 bytes.
    unsafe { syscall(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]) };
}
