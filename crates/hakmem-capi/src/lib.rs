//! FRONT box, C side: the malloc family, `operator new` and `delete`, and `hakmem.h`.
//!
//! Answers for: C's rules (null and ENOMEM, EINVAL, `errno` kept by `free`) around the core's functions.
//! Contract: nothing here keeps state, and nothing here calls an exported symbol.
//! Called by: the program. Observable: what it returns.
#![no_std]

mod confinement;
mod glibc;
mod hak;
mod malloc;
mod operators;
mod startup;

hakmem_os::export_dlopen!();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    hakmem_os::process::abort()
}
