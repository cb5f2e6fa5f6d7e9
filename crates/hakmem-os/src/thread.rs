//! Thread exit and fork, through the C library's hooks.
//!
//! # Safety
//! The hooks are `extern "C"` functions that live as long as the program.

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
        let mut key: libc::pthread_key_t = 0;
        // SAFETY: writes the key; `call` lives as long as the program.
        if unsafe { libc::pthread_key_create(&mut key, Some(call)) } == 0 {
            self.0.store(key, Ordering::Release);
        }
    }

    /// Asks for the call, with `value` (not zero), when this thread exits. libc may allocate here for a key past its
    /// first 32, so the caller's heap must already work. False if there will be no call.
    pub fn arm(&self, value: usize) -> bool {
        let key = self.0.load(Ordering::Acquire);
        // SAFETY: the key was made by `register`.
        key != NONE && unsafe { libc::pthread_setspecific(key, value as *const c_void) } == 0
    }
}

impl Default for ExitHook {
    fn default() -> ExitHook {
        ExitHook::new()
    }
}

/// Calls `child` in every child made by `fork`, before anything else of the program runs there. Nothing is registered for
/// the parent: no lock is ever held across a fork.
pub fn at_fork_in_child(child: unsafe extern "C" fn()) {
    unsafe extern "C" {
        // What libc's own `pthread_atfork` calls, for the library that is named last: none, which is never unloaded.
        fn __register_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
            library: *const c_void,
        ) -> i32;
    }
    // SAFETY: the function lives as long as the program.
    unsafe { __register_atfork(None, None, Some(child), core::ptr::null()) };
}
