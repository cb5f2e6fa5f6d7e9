//! A call in each child made by `fork`, before anything else of the program runs there.
//!
//! It relies on glibc's own list of fork handlers. `_Fork` and `clone` call none of them: `sys/linux/fork.rs` finds such children by
//! other means.
//!
//! # Safety
//! The function that is registered lives as long as the program.

use core::ffi::c_void;

/// Calls `child` in every child made by `fork`. Nothing is registered for the parent, since no lock is held across a fork.
pub fn call_in_child(child: unsafe extern "C" fn()) {
    unsafe extern "C" {
        // `pthread_atfork` calls this function with the library that the handlers belong to, and removes them when that library is
        // unloaded. A null library is never unloaded.
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
