//! The functions of `hakmem.h`: the malloc family under names of its own, and functions that no standard has.
//!
//! # Safety
//! As for the functions of the malloc family.

use crate::glibc::malloc_trim;
use crate::malloc;
use core::ffi::{c_char, c_int, c_void};
use hakmem_core::base::wake_up;
use hakmem_core::reclaim::limits::{self, Limits};
use hakmem_core::stats::{self, Totals};
use hakmem_core::{heap, process};
use hakmem_os::console::Console;
use hakmem_os::process::{EINVAL, set_enomem, set_errno};

macro_rules! same {
    ($($name:ident = $of:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("`", stringify!($of), "` under a name of this library.")]
        ///
        /// # Safety
        /// As for the standard function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
            // Some of these functions are safe and some are not.
            #[allow(unused_unsafe)]
            // SAFETY: the caller has the obligations that this function's `Safety` section states.
            unsafe { malloc::$of($($argument),*) }
        }
    )*};
}

same! {
    hak_malloc = malloc(size: usize) -> *mut c_void;
    hak_calloc = calloc(count: usize, size: usize) -> *mut c_void;
    hak_realloc = realloc(block: *mut c_void, size: usize) -> *mut c_void;
    hak_reallocarray = reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void;
    hak_free = free(block: *mut c_void) -> ();
    hak_free_sized = free_sized(block: *mut c_void, size: usize) -> ();
    hak_free_aligned_sized = free_aligned_sized(block: *mut c_void, align: usize, size: usize) -> ();
    hak_aligned_alloc = aligned_alloc(align: usize, size: usize) -> *mut c_void;
    hak_posix_memalign = posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int;
    hak_memalign = memalign(align: usize, size: usize) -> *mut c_void;
    hak_valloc = valloc(size: usize) -> *mut c_void;
    hak_pvalloc = pvalloc(size: usize) -> *mut c_void;
    hak_malloc_usable_size = malloc_usable_size(block: *mut c_void) -> usize;
}

/// Returns the version, as "major.minor.patch".
#[unsafe(no_mangle)]
pub extern "C" fn hak_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Gives all memory that this thread caches, and all free memory, back to the system.
#[unsafe(no_mangle)]
pub extern "C" fn hak_collect() {
    malloc_trim(0);
}

/// Returns 1 if freeing `block` and allocating it again would help to give memory back, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn hak_worth_moving(block: *const c_void) -> c_int {
    c_int::from(heap::worth_moving(block.cast()))
}

/// Tells the allocator that the program is about to install a filter of system calls by other means than the C
/// library's functions.
#[unsafe(no_mangle)]
pub extern "C" fn hak_shut_in() {
    wake_up::shut_in();
}

/// Fills `*out` with the statistics.
///
/// # Safety
/// `out` points to memory that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hak_stats_read(out: *mut Totals) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { out.write(stats::totals()) };
}

/// Writes the statistics to a file descriptor, as a table or as one line of JSON.
#[unsafe(no_mangle)]
pub extern "C" fn hak_stats_print(fd: c_int, json: c_int) {
    process::print(&mut Console::new(fd), json != 0);
}

/// Sets the limits in bytes, 0 for none; returns -1 and sets EINVAL if the soft one is above the hard one.
#[unsafe(no_mangle)]
pub extern "C" fn hak_limits_set(soft: usize, hard: usize) -> c_int {
    if !limits::set(soft, hard) {
        set_errno(EINVAL);
        return -1;
    }
    heap::answer_demand();
    0
}

/// Fills `*out` with the limits, what is used of them, and how often each was reached.
///
/// # Safety
/// `out` points to memory that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hak_limits_read(out: *mut Limits) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { out.write(limits::read()) };
}

/// Registers a function that is called when memory is short; returns -1 and sets ENOMEM if there is no memory to store
/// it.
///
/// # Safety
/// Any thread may call `call` with `argument`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hak_on_pressure(call: Option<limits::Call>, argument: *mut c_void) -> c_int {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    if unsafe { limits::on_pressure(call, argument) } {
        return 0;
    }
    set_enomem();
    -1
}
