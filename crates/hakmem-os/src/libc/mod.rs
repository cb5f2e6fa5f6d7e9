//! What is asked of the C library, and differs from one C library to another. The kernel is asked in `sys`.
//!
//! It relies on nothing else in this crate. Another C library is a folder beside `glibc` with the same modules. The module list
//! stands in `glibc/mod.rs`.

#[cfg(not(target_env = "gnu"))]
compile_error!("HAKMEM is written for the GNU C library; another one needs a folder in src/libc of hakmem-os");

pub mod glibc;
