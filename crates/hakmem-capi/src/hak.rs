//! The functions of `hakmem.h`: the same family under names of its own, and what no standard has a name for.
//!
//! # Safety
//! As the functions they stand for.

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
        #[doc = concat!("`", stringify!($of), "` under a name of its own.")]
        ///
        /// # Safety
        /// As the function it stands for.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
            // Some of these functions are safe and some are not.
            #[allow(unused_unsafe)]
            // SAFETY: the caller's.
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

/// The version, as "major.minor.patch".
#[unsafe(no_mangle)]
pub extern "C" fn hak_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Gives everything back that this thread caches, and all free memory to the system.
#[unsafe(no_mangle)]
pub extern "C" fn hak_collect() {
    malloc_trim(0);
}

/// Whether freeing `block` and allocating it again would help to give memory back: 1 or 0.
#[unsafe(no_mangle)]
pub extern "C" fn hak_worth_moving(block: *const c_void) -> c_int {
    c_int::from(heap::worth_moving(block.cast()))
}

/// Says that the program is about to install a filter of system calls by other means than the C library's functions.
#[unsafe(no_mangle)]
pub extern "C" fn hak_shut_in() {
    wake_up::shut_in();
}

/// Fills in the statistics.
///
/// # Safety
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hak_stats_read(out: *mut Totals) {
    // SAFETY: the caller's.
    unsafe { out.write(stats::totals()) };
}

/// Writes the statistics to a file descriptor, as a table or as one line of JSON.
#[unsafe(no_mangle)]
pub extern "C" fn hak_stats_print(fd: c_int, json: c_int) {
    process::print(&mut Console::new(fd), json != 0);
}

/// Sets the limits; -1 and EINVAL where the soft one is above the hard one.
#[unsafe(no_mangle)]
pub extern "C" fn hak_limits_set(soft: usize, hard: usize) -> c_int {
    if !limits::set(soft, hard) {
        set_errno(EINVAL);
        return -1;
    }
    heap::answer_demand();
    0
}

/// Fills in the limits and what became of them.
///
/// # Safety
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hak_limits_read(out: *mut Limits) {
    // SAFETY: the caller's.
    unsafe { out.write(limits::read()) };
}

/// Registers what is called when memory is short; -1 and ENOMEM where it cannot be remembered.
///
/// # Safety
/// `call` may be called with `argument` by any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hak_on_pressure(call: Option<limits::Call>, argument: *mut c_void) -> c_int {
    // SAFETY: the caller's.
    if unsafe { limits::on_pressure(call, argument) } {
        return 0;
    }
    set_enomem();
    -1
}
