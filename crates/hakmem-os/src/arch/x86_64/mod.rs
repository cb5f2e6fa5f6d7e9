//! The 64-bit x86 architecture, as processor and as a target of the Linux kernel's binary interface.
//!
//! `arch/mod.rs` says what each part has to be. Modules are declared bottom-up: each uses only those above it.

pub mod cpu; // single instructions
pub mod slot; // three thread-local words
pub mod syscall; // the raw system call
pub mod signal; // the kernel's record of what a signal does
pub mod thread; // the start of a thread without the C library
mod trampoline; // the exported functions that jump to others

/// Every page table of this architecture begins with pages of this size.
pub const PAGE: usize = 4096;

/// Linux gives a program the lower half of the 48 bits that four levels of page tables translate. With five levels it still does,
/// unless a program asks for more by a hint above that, which this allocator never gives.
pub const ADDRESS_BITS: u32 = 47;
