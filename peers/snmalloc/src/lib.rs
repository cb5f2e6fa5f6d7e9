//! snmalloc as a preload library: the allocator's own functions, exported under malloc's names.
#![no_std]

use core::ffi::{c_char, c_int, c_void};

// The only use of the crate: it links the allocator, which the build script exports.
use snmalloc_sys as _;

/// Which sources this library was built from.
#[unsafe(no_mangle)]
pub extern "C" fn peer_version() -> *const c_char {
    concat!(env!("PEER_VERSION"), "\0").as_ptr().cast()
}

unsafe extern "C" {
    fn __cxa_thread_atexit_impl(
        destructor: unsafe extern "C" fn(*mut c_void),
        object: *mut c_void,
        library: *mut c_void,
    ) -> c_int;
}

/// The one function snmalloc needs of the C++ runtime, as the runtime itself does it: libc's own.
/// With it here, a C program under the preload does not pay for the whole of libstdc++.
///
/// # Safety
/// As for libc's function: `destructor` is called with `object` when the thread ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cxa_thread_atexit(
    destructor: unsafe extern "C" fn(*mut c_void),
    object: *mut c_void,
    library: *mut c_void,
) -> c_int {
    // SAFETY: the arguments are passed on as they came.
    unsafe { __cxa_thread_atexit_impl(destructor, object, library) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
