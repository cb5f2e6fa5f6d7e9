//! The GNU C library.
pub mod libc_calls;
pub mod pin;
pub mod process;
pub mod thread;
