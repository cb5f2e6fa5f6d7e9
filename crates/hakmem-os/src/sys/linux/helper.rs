//! The helper: a thread of the allocator's own, of which there is at most one.
//!
//! It is made without the C library. The library would allocate for the thread and might hold its locks at this moment; and from then
//! on it would take the program for one with threads, which costs the program locks and atomic operations.
//!
//! The helper has a descriptor table of its own. A program may rely on the numbers that its files get, and on a file being closed when
//! the program has closed it.
//!
//! It relies on `arch::thread` for the start, and on the kernel to write the thread's number at its start and zero at its end.
//!
//! # Safety
//! The thread runs on a mapping that is never unmapped, and has no thread-local storage: code that runs there must not use the slot,
//! `errno` or any other thread-local variable.

use super::futex;
use super::kernel::{Call, count, kernel};
use crate::arch::{syscall::syscall, thread};
use crate::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed},
};
use crate::libc::glibc::process;

/// Bytes of the mapping. The thread pointer is in the middle of it, so there is memory on both sides: the stack below, and above it
/// what compiled code looks for near the thread pointer, such as the word of the stack protector.
const BYTES: usize = 64 << 10;

/// The set of all signals. They are blocked while the thread is started, since it inherits the mask: it must handle none of the
/// program's signals.
const ALL: usize = usize::MAX;

/// How many descriptors are closed one by one at most, where the kernel cannot close a range of them.
const MOST_FILES: usize = 1 << 16;

/// The mapping, which is kept: a later helper, also one in a child of a fork, uses it again.
static STACK: AtomicUsize = AtomicUsize::new(0);
/// The number of the thread. The kernel writes 0 when the thread has ended, and wakes those who wait for that.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Starts the helper, which runs `entry` with all signals blocked. It shares everything with the process until it calls
/// [`take_own_descriptors`]. Nothing is done where there is one already. False where the kernel refuses. `mapped` is called with the
/// number of bytes that were mapped for it.
pub fn start(entry: extern "C" fn() -> !, mapped: fn(usize)) -> bool {
    let mut before = 0_usize;
    let mask = |set: &usize, old: *mut usize| {
        let how = libc::SIG_SETMASK as usize;
        // SAFETY: reads one word, and writes the other one if it is given.
        unsafe { syscall(libc::SYS_rt_sigprocmask, [how, &raw const *set as usize, old as usize, 8, 0, 0]) };
    };
    // From here on: a signal handler of this thread might fork, and the child start a thread on the same mapping.
    mask(&ALL, &raw mut before);
    // Acquire pairs with the kernel's store at the end of a thread: its stack is not used again before that.
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
    // The same flags as for threads of the C library: valgrind supports no others.
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
    // SAFETY: no thread uses the mapping, which is never unmapped. Its upper half is zero. `NUMBER` is a static.
    let result = unsafe { thread::start(flags as usize, stack + BYTES / 2, NUMBER.as_ptr(), entry) };
    result > 0
}

/// Gives the helper, which calls it, an empty descriptor table of its own. It also gets a root and a working directory of its own:
/// while a program shares these with another thread, it cannot enter another mount namespace. False where the kernel refuses, and then
/// the helper must not open files.
pub fn take_own_descriptors() -> bool {
    count(Call::Other);
    // SAFETY: no memory is involved.
    if unsafe { syscall(libc::SYS_unshare, [(libc::CLONE_FILES | libc::CLONE_FS) as usize, 0, 0, 0, 0, 0]) } != 0 {
        return false;
    }
    // The new table is a copy. The copies of the program's descriptors must be closed, or they would keep its pipes and sockets open.
    // SAFETY: no memory is involved; no other thread uses the table.
    let close = |call, last, of| unsafe { syscall(call, [of, last, 0, 0, 0, 0]) };
    if close(libc::SYS_close_range, u32::MAX as usize, 0) != 0 {
        // Linux before 5.9 does not have that call.
        (0..process::file_limit().min(MOST_FILES)).for_each(|descriptor| _ = close(libc::SYS_close, 0, descriptor));
    }
    true
}

/// Whether there is no helper, or none any more; waits up to `ms` milliseconds for its end. The loads are Acquire, which pairs with the
/// kernel's store at the end of the thread: what the helper wrote is then seen.
pub fn is_over(ms: u64) -> bool {
    let number = NUMBER.load(Acquire);
    if number != 0 {
        futex::doze_shared(&NUMBER, number, ms);
    }
    NUMBER.load(Acquire) == 0
}

/// Sleeps for `ms` milliseconds.
pub fn pause(ms: u64) {
    static NEVER_WOKEN: AtomicU32 = AtomicU32::new(0);
    futex::doze(&NEVER_WOKEN, 0, Some(ms));
}

/// Forgets the helper in a child of a fork, in which it does not exist.
pub fn forget() {
    NUMBER.store(0, Relaxed);
}

/// In a model, starts the helper, which does `run` until that comes to [`end`].
#[cfg(loom)]
pub fn spawn(run: impl FnOnce() + 'static) -> crate::model::Thread<()> {
    NUMBER.store(1, Relaxed);
    crate::model::spawn_until_end(run)
}

/// Ends the helper, which calls it.
pub fn end() -> ! {
    #[cfg(loom)]
    {
        // As the kernel does.
        NUMBER.store(0, crate::atomic::Ordering::Release);
        crate::model::end_thread()
    }
    #[cfg(not(loom))]
    loop {
        // SAFETY: ends this thread. Its stack is used again only after the kernel has written that the thread has ended.
        unsafe { syscall(libc::SYS_exit, [0; 6]) };
    }
}

/// Gives the calling thread a name, which `top` and debuggers show.
pub fn name(name: &core::ffi::CStr) {
    // SAFETY: reads a terminated string of at most 16 bytes.
    unsafe { syscall(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]) };
}
