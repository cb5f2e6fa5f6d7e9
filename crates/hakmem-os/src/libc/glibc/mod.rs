//! The GNU C library, and what all C libraries on Linux have.
//!
//! The modules, bottom up; each uses only those above it in this list:
//!
//! 1. `process` - facts about the process, and `errno`
//! 2. `atfork` - a call in each child made by `fork`
//! 3. `thread` - a call at the exit of a thread, and a thread's number
//! 4. `libc_calls` - the library's own allocator, loader and streams
//! 5. `pin` - keeps the object loaded that this code is in

pub mod atfork;
pub mod libc_calls;
pub mod pin;
pub mod process;
pub mod thread;
