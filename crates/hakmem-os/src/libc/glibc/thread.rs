//! A call at the exit of each thread that asks for it, and the number of the calling thread.
//!
//! It relies on the destructors of POSIX thread keys, and on the name of a thread's processor-time clock.
//!
//! # Safety
//! The function that is called lives as long as the program.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};

/// There is no key. It is made by `register`; where that fails, threads keep their heaps when they exit.
const NONE: u32 = u32::MAX;

/// A call at the exit of each thread that asks for it. It holds the key.
pub struct ExitHook(AtomicU32);

impl ExitHook {
    /// A hook without a key yet.
    pub const fn new() -> ExitHook {
        ExitHook(AtomicU32::new(NONE))
    }

    /// Makes the key with `call` as its destructor. Called once in a process.
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
            // Pairs with the load in `arm`: a thread that sees the key may use it.
            self.0.store(key, Ordering::Release);
        }
    }

    /// Asks for the call with `value`, which is not zero, when this thread exits. libc may allocate here for a key past its first 32,
    /// so the heap of the caller must already work. The call does not come if there is no key, if libc has no memory for the value,
    /// or if this thread has run its last destructors already.
    pub fn arm(&self, value: usize) {
        let key = self.0.load(Ordering::Acquire);
        if key != NONE {
            // SAFETY: `register` made the key.
            unsafe { libc::pthread_setspecific(key, value as *const c_void) };
        }
    }
}

impl Default for ExitHook {
    fn default() -> ExitHook {
        ExitHook::new()
    }
}

/// The number of the calling thread, or 0 where the C library does not know the thread. It takes no system call, because a filter of
/// the program might not allow it.
///
/// The identifier of a thread's processor-time clock contains the number of the thread, inverted, above three other bits: see
/// `clock_getcpuclockid(3)` and the kernel's `posix-timers_types.h`.
pub fn id() -> u32 {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: writes the identifier of the clock.
    let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
    if result == 0 { !(clock >> 3) as u32 } else { 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_its_number() {
        // SAFETY: no arguments.
        let number = || unsafe { libc::gettid() } as u32;
        assert_eq!(id(), number());
        assert!(std::thread::spawn(move || id() == number()).join().expect("no panic"));
    }
}
