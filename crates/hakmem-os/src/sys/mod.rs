//! What is asked of the kernel, and differs from one kernel to another. The C library is asked in `libc`.
//!
//! It relies on `arch` for the raw system call, and on `libc` for `errno` and the clock. Another kernel is a folder beside `linux`
//! with the same modules. The module list stands in `linux/mod.rs`.

#[cfg(not(target_os = "linux"))]
compile_error!("HAKMEM asks the Linux kernel for memory; another kernel needs a folder in src/sys of hakmem-os");

pub mod linux;
