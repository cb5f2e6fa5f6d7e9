//! mimalloc3 as a preload library: the allocator's own functions, exported under malloc's names.
#![no_std]

use core::ffi::c_char;

// The only use of the crate: it links the allocator, which the build script exports.
use libmimalloc_sys as _;

/// Which sources this library was built from.
#[unsafe(no_mangle)]
pub extern "C" fn peer_version() -> *const c_char {
    concat!(env!("PEER_VERSION"), "\0").as_ptr().cast()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
