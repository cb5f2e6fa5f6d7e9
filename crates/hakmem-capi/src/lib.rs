//! FRONT box, C side: the malloc family, `operator new` and `delete`, and the functions of `hakmem.h`.
//!
//! Answers for: the rules of C (null and ENOMEM, EINVAL, `errno` unchanged by `free`) around the core's functions.
//! Contract: nothing here has state, and nothing here calls an exported symbol.
//! Called by: the program. Observable: what each function returns.
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
