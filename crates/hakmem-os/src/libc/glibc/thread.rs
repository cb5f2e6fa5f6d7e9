//! Thread exit, through the C library's hook.
//!
//! # Safety
//! The hook is an `extern "C"` function that lives as long as the program.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

/// No key made yet (or none to be had: then thread heaps are not given back at exit).
const NONE: u32 = u32::MAX;

/// A call at the exit of each thread that asks for it.
pub struct ExitHook(AtomicU32);

impl ExitHook {
    /// A hook not yet registered.
    pub const fn new() -> ExitHook {
        ExitHook(AtomicU32::new(NONE))
    }

    /// Registers `call`; once in a process.
    pub fn register(&self, call: unsafe extern "C" fn(*mut c_void)) {
        #[cfg(loom)]
        return crate::model::at_exit(call);
        #[cfg(not(loom))]
        self.make_key(call);
    }

    #[cfg_attr(loom, expect(dead_code))]
    fn make_key(&self, call: unsafe extern "C" fn(*mut c_void)) {
        let mut key: libc::pthread_key_t = 0;
        // SAFETY: writes the key; `call` lives as long as the program.
        if unsafe { libc::pthread_key_create(&mut key, Some(call)) } == 0 {
            self.0.store(key, Ordering::Release);
        }
    }

    /// Asks for the call, with `value` (not zero), when this thread exits. libc may allocate here for a key past its
    /// first 32, so the caller's heap must already work. There will be no call without a key, where memory is out, and where this
    /// thread has made its last calls already.
    pub fn arm(&self, value: usize) {
        let key = self.0.load(Ordering::Acquire);
        if key != NONE {
            // SAFETY: the key was made by `register`.
            unsafe { libc::pthread_setspecific(key, value as *const c_void) };
        }
    }
}

impl Default for ExitHook {
    fn default() -> ExitHook {
        ExitHook::new()
    }
}

/// The calling thread's number, without a system call, which a filter of the program's might not allow; 0 where the C library
/// does not know the thread.
///
/// A thread's processor-time clock is named by its number: see `clock_getcpuclockid(3)` and the kernel's `posix-timers_types.h`.
pub fn id() -> u32 {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: writes the clock's name.
    let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
    if result == 0 { !(clock >> 3) as u32 } else { 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::arch::syscall::syscall;

    #[test]
    fn a_thread_knows_its_number() {
        // SAFETY: no arguments.
        let number = || unsafe { syscall(libc::SYS_gettid, [0; 6]) } as u32;
        assert_eq!(id(), number());
        assert!(std::thread::spawn(move || id() == number()).join().expect("no panic"));
    }
}
