//! The kernel's record of what a signal does, read to find out whether a signal handler may be running.
//!
//! It relies on the layout of the kernel's `struct sigaction` and on what the C library puts there, which both differ from one
//! architecture to another.
//!
//! # Safety
//! The system call writes four words into a buffer of four words.

use super::syscall::syscall;

/// The kernel's `struct sigaction`: handler, flags, restorer, mask.
pub struct Action([usize; 4]);

impl Action {
    /// The record for `signal`; `None` where the kernel does not say.
    pub fn of(signal: usize) -> Option<Action> {
        let mut action = Action([0; 4]);
        // SAFETY: writes the four words.
        let result = unsafe { syscall(libc::SYS_rt_sigaction, [signal, 0, action.0.as_mut_ptr() as usize, 8, 0, 0]) };
        (result == 0).then_some(action)
    }

    /// Whether the program ever set what the signal does. The C library passes a restorer each time, even with the default action,
    /// and the kernel keeps the flags when it removes a handler that was installed for one signal only.
    pub fn has_history(&self) -> bool {
        self.0 != [0; 4]
    }

    /// The address that the handler returns to: a function that ends the signal. It is the first word of the frame that the kernel
    /// puts on the stack, and stands there, at a multiple of 8, until the handler has returned.
    pub fn returns_to(&self) -> usize {
        self.0[2]
    }
}
