//! What differs from one processor architecture to another. It is the only folder with assembly, and the only one that names an
//! architecture.
//!
//! It relies on nothing else in this crate. To add an architecture, write one folder beside `x86_64` that provides what is listed
//! here, and choose it below. The constants at the end of this file state each type, so that a folder which lacks a part does not
//! build.
//!
//! | A folder provides | which is |
//! |---|---|
//! | `PAGE` | Bytes of a page of the kernels that a build is for, known at compile time. It divides 64 KiB. |
//! | `ADDRESS_BITS` | How many bits the addresses of a program have, from 33 to 48: the page map has one word for each 4 GiB. |
//! | `syscall` | `syscall`: the raw system call. `OLDER_WAITS`: the blocking calls that newer architectures no longer have. |
//! | `signal` | `Action`: the kernel's record of what a signal does, and the word on the stack by which a running handler is found. |
//! | `slot` | Four words of thread-local storage, one behind the other, zero at first. Each access reads or writes its word as a whole, and the compiler moves none across a system call. Another thread finds the words by `address` and `STATE`. |
//! | `cpu` | Single instructions: `ticks`, `prefetch`, `shift_right`. |
//! | `thread` | `start`: a thread on memory of ours, made without the C library. |
//! | `jump_to_dlopen!`, `jump_to_syscall!` | The bodies of the exported functions `dlopen` and `syscall`, which have to keep registers and stack as their caller left them. They are macros because an exported symbol belongs to the crate that is linked into the shared library. |
//!
//! In a model (`cfg(loom)`) the slot is that of `model/slot.rs`, which has the same functions.
//!
//! # Safety
//! This file names unsafe functions to state their types, and calls none. Each file of a folder states what its callers owe.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("HAKMEM packs addresses and counters into words of 64 bits; this target has shorter ones");

#[cfg(not(target_arch = "x86_64"))]
compile_error!("HAKMEM does not know this architecture; arch/mod.rs says what a folder for it has to provide");

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{ADDRESS_BITS, PAGE, cpu, signal, slot, syscall, thread};

use core::ffi::c_long;

const _: () = assert!(PAGE.is_power_of_two() && (64 << 10) % PAGE == 0);
const _: () = assert!(ADDRESS_BITS > 32 && ADDRESS_BITS <= 48);

const _: unsafe fn(c_long, [usize; 6]) -> isize = syscall::syscall;
const _: &[(c_long, Option<usize>)] = syscall::OLDER_WAITS;

const _: fn(usize) -> Option<signal::Action> = signal::Action::of;
const _: fn(&signal::Action) -> bool = signal::Action::has_history;
const _: fn(&signal::Action) -> usize = signal::Action::returns_to;

const _: fn(usize) -> usize = slot::add_distance;
const _: [fn() -> usize; 5] = [slot::distance, slot::heap, slot::state, slot::work, slot::address];
const _: [fn(usize); 4] = [slot::set_distance, slot::set_heap, slot::set_state, slot::set_work];
const _: unsafe fn(usize, usize) -> bool = slot::count_down::<0>;
const _: () = assert!(slot::STATE == 2 * size_of::<usize>());

const _: fn() -> u64 = cpu::ticks;
const _: fn(usize) = cpu::prefetch;
const _: fn(usize) -> usize = cpu::shift_right::<1>;

const _: unsafe fn(usize, usize, *mut u32, extern "C" fn() -> !) -> isize = thread::start;
