//! A thread of the allocator's own, made without the C library: that would allocate for it, might hold locks at this moment, and
//! would count the program as one with threads from then on, which costs it locks and atomic operations.
//!
//! It has a descriptor table of its own, since a program may count on the numbers that its files get, and on what is closed being
//! closed.
//!
//! # Safety
//! The thread runs on a mapping that is never unmapped. Its thread pointer points into the same mapping, where all is zero:
//! code that runs there must not use the slot, `errno`, or any other thread-local variable.

use crate::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed},
};
use crate::futex;
use crate::kernel::{Call, count, kernel};
use crate::process;
use crate::syscall::syscall;
use core::arch::asm;

/// Bytes of the mapping. The thread pointer lies in the middle: what compiled code may look for near it, such as the stack
/// protector's word, is there.
const BYTES: usize = 64 << 10;

/// Signals change places with this around the start: the new thread must get none of the program's.
const ALL: usize = usize::MAX;

/// Where the kernel closes no range of descriptors, this many are closed one by one at most.
const MOST_FILES: usize = 1 << 16;

/// The mapping, kept for a child of a fork to use again.
static STACK: AtomicUsize = AtomicUsize::new(0);
/// The thread's number; the kernel writes 0 when it is over, and wakes who waits for that.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Starts a thread that runs `entry` for ever, with all signals blocked, and that shares everything with the process until it calls
/// [`take_own_descriptors`]. At most one at a time: where there is one that is all. False where the kernel refuses; `mapped` is told
/// of bytes that are mapped for it.
pub fn start(entry: extern "C" fn() -> !, mapped: fn(usize)) -> bool {
    let mut before = 0_usize;
    let mask = |set: &usize, old: *mut usize| {
        let how = libc::SIG_SETMASK as usize;
        // SAFETY: reads one word and writes the other, if given.
        unsafe { syscall(libc::SYS_rt_sigprocmask, [how, &raw const *set as usize, old as usize, 8, 0, 0]) };
    };
    // From here on: a handler of this thread might fork, and the child start a thread on the same mapping.
    mask(&ALL, &raw mut before);
    let started = NUMBER.load(Acquire) != 0 || start_unless_refused(entry, mapped);
    mask(&before, core::ptr::null_mut());
    started
}

fn start_unless_refused(entry: extern "C" fn() -> !, mapped: fn(usize)) -> bool {
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
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID;
    count(Call::Other);
    let middle = stack + BYTES / 2;
    // The thread's own pointer to itself, where the ABI has it.
    // SAFETY: inside the mapping, which no thread uses yet.
    unsafe { (middle as *mut usize).write(middle) };
    // SAFETY: the child runs on the lower half of the mapping, where nothing is in use, and never returns from `entry`.
    let result = unsafe { clone(flags as usize, middle, middle, entry) };
    result > 0
}

/// The call whose child must not return into its parent's frame.
unsafe fn clone(flags: usize, stack: usize, tls: usize, entry: extern "C" fn() -> !) -> isize {
    let result: isize;
    let number = NUMBER.as_ptr();
    // SAFETY: the x86-64 Linux convention for clone: flags, stack, two places for numbers, thread pointer. The child has zero in
    // rax, its stack aligned to 16 as a call expects, and a zero return address behind `call` ends backtraces.
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
            in("rdi") flags, in("rsi") stack, in("rdx") number, in("r10") number, in("r8") tls, in("r9") entry,
            // Not `lateout`: an input might be put there, and the kernel overwrites both before `call` reads it.
            out("rcx") _, out("r11") _,
        );
    }
    result
}

/// Gives the calling thread, which is the one that [`start`] made, a descriptor table of its own, with nothing in it, and a root and
/// working directory of its own, without which the program could not enter another mount namespace. False where the kernel refuses: then
/// it must not open files.
pub fn take_own_descriptors() -> bool {
    count(Call::Other);
    // SAFETY: no memory is involved.
    if unsafe { syscall(libc::SYS_unshare, [(libc::CLONE_FILES | libc::CLONE_FS) as usize, 0, 0, 0, 0, 0]) } != 0 {
        return false;
    }
    // From here on nobody else sees what is opened and closed. The copies of the program's files must go: they would keep pipes and
    // sockets open.
    // SAFETY: no memory is involved; the table is this thread's alone.
    let close = |call, last, of| unsafe { syscall(call, [of, last, 0, 0, 0, 0]) };
    if close(libc::SYS_close_range, u32::MAX as usize, 0) != 0 {
        // Before Linux 5.9.
        (0..process::file_limit().min(MOST_FILES)).for_each(|descriptor| _ = close(libc::SYS_close, 0, descriptor));
    }
    true
}

/// Whether the thread is over, or there was none; waits so many milliseconds for that.
pub fn is_over(ms: u64) -> bool {
    let number = NUMBER.load(Acquire);
    if number != 0 {
        futex::doze_shared(&NUMBER, number, ms);
    }
    NUMBER.load(Acquire) == 0
}

/// Sleeps so many milliseconds.
pub fn pause(ms: u64) {
    static NEVER_WOKEN: AtomicU32 = AtomicU32::new(0);
    futex::doze(&NEVER_WOKEN, 0, Some(ms));
}

/// In a child just forked, where the thread is no more.
pub fn forget() {
    NUMBER.store(0, Relaxed);
}

/// Ends the calling thread, which is the one that [`start`] made.
pub fn end() -> ! {
    loop {
        // SAFETY: ends this thread, whose stack is used again only when the kernel says that it is over.
        unsafe { syscall(libc::SYS_exit, [0; 6]) };
    }
}

/// Gives the calling thread a name that `top` and debuggers show.
pub fn name(name: &core::ffi::CStr) {
    // SAFETY: reads a terminated string of at most 16 bytes.
    unsafe { syscall(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]) };
}
