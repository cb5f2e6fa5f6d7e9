//! The functions that the loader calls when it loads the library and when the process ends.
//!
//! # Safety
//! The loader calls each function in these sections once, with glibc's arguments.

use core::ffi::{c_char, c_int};
use hakmem_core::process;

type Initialiser = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: Initialiser = begin;

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

unsafe extern "C" fn begin(_: c_int, _: *const *const c_char, environment: *const *const c_char) {
    // SAFETY: glibc passes the environment as the third argument.
    unsafe { process::begin(environment) }
}

extern "C" fn end() {
    process::end();
}
