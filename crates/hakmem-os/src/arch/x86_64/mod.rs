//! The 64-bit x86 processor.
pub mod cpu;
#[cfg_attr(loom, expect(dead_code))]
pub mod slot;
pub mod syscall;
