//! The 64-bit x86 processor.

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// The addresses of a program are below two to the power of this.
pub const ADDRESS_BITS: u32 = 47;

pub mod cpu;
#[cfg_attr(loom, expect(dead_code))]
pub mod slot;
pub mod syscall;
