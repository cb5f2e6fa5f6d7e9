//! Stands for the crate libc in the test of the lints: they go by its name.
//!
//! # Safety
//! Nothing of it is ever called.
#![no_std]

unsafe extern "C" {
    pub fn malloc(size: usize) -> *mut u8;
    pub fn free(block: *mut u8);
    pub fn dlopen();
    pub fn getenv();
    pub fn munmap();
}
