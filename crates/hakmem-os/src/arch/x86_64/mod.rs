//! The 64-bit x86 architecture, as processor and as a target of the Linux kernel's binary interface.
//!
//! `arch/mod.rs` says what each part has to be. The modules, bottom up; each uses only those above it in this list:
//!
//! 1. `cpu` - single instructions
//! 2. `slot` - three thread-local words
//! 3. `syscall` - the raw system call
//! 4. `signal` - the kernel's record of what a signal does
//! 5. `thread` - the start of a thread without the C library
//! 6. `trampoline` - the exported functions that jump to others

pub mod cpu;
pub mod signal;
pub mod slot;
pub mod syscall;
pub mod thread;
mod trampoline;

/// Every page table of this architecture begins with pages of this size.
pub const PAGE: usize = 4096;

/// Linux gives a program the lower half of the 48 bits that four levels of page tables translate. With five levels it still does,
/// unless a program asks for more by a hint above that, which this allocator never gives.
pub const ADDRESS_BITS: u32 = 47;
