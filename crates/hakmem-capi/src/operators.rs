//! `operator new` and `operator delete`, all twenty.
//!
//! The fast half is here; what needs more than the bin's list ends in a jump to `hak_new_slow` in `cxx.cc`, through which
//! exceptions can pass. No frame of this file is ever below one that throws.
//!
//! # Safety
//! The names are C++'s for these signatures (Itanium ABI), and the blocks that `delete` is given come from `new`.

use core::ffi::{c_int, c_void};
use core::fmt::Write;
use hakmem_core::heap;
use hakmem_os::console::Console;
use hakmem_os::process::abort;

unsafe extern "C" {
    /// Allocates with `allocate`, asks the new-handler while that fails, and throws or returns null at last; calls `give_up`
    /// where nothing can throw.
    fn hak_new_slow(
        size: usize,
        align: usize,
        nothrow: c_int,
        allocate: extern "C" fn(usize, usize) -> *mut c_void,
        give_up: extern "C" fn() -> !,
    ) -> *mut c_void;
}

/// Called where `std::bad_alloc` is due and nothing can throw it.
extern "C" fn give_up() -> ! {
    if let Some(mut console) = Console::stderr() {
        // A console never fails; what cannot be written is dropped.
        let _ = writeln!(console, "hakmem: operator new: out of memory, and no C++ runtime to throw std::bad_alloc");
    }
    abort()
}

/// A block for `new`; `align` 0 is the default alignment.
extern "C" fn allocate(size: usize, align: usize) -> *mut c_void {
    if align == 0 { heap::allocate_for_new(size).cast() } else { heap::allocate_aligned(size, align).cast() }
}

macro_rules! new {
    ($($symbol:ident, $nothrow:literal, $signature:literal;)*) => {$(
        #[doc = concat!("`", $signature, "`")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(size: usize) -> *mut c_void {
            let block = heap::pop_for_new(size);
            if !block.is_null() {
                return block.cast();
            }
            // SAFETY: the C++ half of this file.
            unsafe { hak_new_slow(size, 0, $nothrow, allocate, give_up) }
        }
    )*};
}

macro_rules! new_aligned {
    ($($symbol:ident, $nothrow:literal, $signature:literal;)*) => {$(
        #[doc = concat!("`", $signature, "`")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(size: usize, align: usize) -> *mut c_void {
            // SAFETY: the C++ half of this file.
            unsafe { hak_new_slow(size, align, $nothrow, allocate, give_up) }
        }
    )*};
}

macro_rules! delete {
    ($($symbol:ident($($ignored:ident),*), $signature:literal;)*) => {$(
        #[doc = concat!("`", $signature, "`")]
        ///
        /// # Safety
        /// `block` is null or came from the `new` of the same form.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(block: *mut c_void $(, $ignored: usize)*) {
            // SAFETY: the caller's.
            unsafe { heap::free(block.cast()) }
        }
    )*};
}

macro_rules! delete_sized {
    ($($symbol:ident, $signature:literal;)*) => {$(
        #[doc = concat!("`", $signature, "`: a size that another class of blocks is for is named, and does no harm.")]
        ///
        /// # Safety
        /// `block` is null or came from the `new` of the same form.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(block: *mut c_void, size: usize) {
            // SAFETY: the caller's.
            unsafe { heap::free_asked_for(block.cast(), size) }
        }
    )*};
}

macro_rules! delete_aligned {
    ($($symbol:ident($($size:ident),*; $($ignored:ident),*), $signature:literal;)*) => {$(
        #[doc = concat!("`", $signature, "`: a wrong size or alignment is named, and does no harm.")]
        ///
        /// # Safety
        /// `block` is null or came from the `new` of the same form.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(block: *mut c_void $(, $size: usize)*, align: usize $(, $ignored: usize)*) {
            let size = 0 $(+ $size)*;
            // SAFETY: the caller's.
            unsafe { heap::free_sized("operator delete", block.cast(), size, align.max(1)) }
        }
    )*};
}

new! {
    _Znwm, 0, "operator new(size_t)";
    _Znam, 0, "operator new[](size_t)";
    _ZnwmRKSt9nothrow_t, 1, "operator new(size_t, nothrow_t const &)";
    _ZnamRKSt9nothrow_t, 1, "operator new[](size_t, nothrow_t const &)";
}

new_aligned! {
    _ZnwmSt11align_val_t, 0, "operator new(size_t, align_val_t)";
    _ZnamSt11align_val_t, 0, "operator new[](size_t, align_val_t)";
    _ZnwmSt11align_val_tRKSt9nothrow_t, 1, "operator new(size_t, align_val_t, nothrow_t const &)";
    _ZnamSt11align_val_tRKSt9nothrow_t, 1, "operator new[](size_t, align_val_t, nothrow_t const &)";
}

delete! {
    _ZdlPv(), "operator delete(void *)";
    _ZdaPv(), "operator delete[](void *)";
    _ZdlPvRKSt9nothrow_t(_nothrow), "operator delete(void *, nothrow_t const &)";
    _ZdaPvRKSt9nothrow_t(_nothrow), "operator delete[](void *, nothrow_t const &)";
}

delete_sized! {
    _ZdlPvm, "operator delete(void *, size_t)";
    _ZdaPvm, "operator delete[](void *, size_t)";
}

delete_aligned! {
    _ZdlPvSt11align_val_t(;), "operator delete(void *, align_val_t)";
    _ZdaPvSt11align_val_t(;), "operator delete[](void *, align_val_t)";
    _ZdlPvmSt11align_val_t(size;), "operator delete(void *, size_t, align_val_t)";
    _ZdaPvmSt11align_val_t(size;), "operator delete[](void *, size_t, align_val_t)";
    _ZdlPvSt11align_val_tRKSt9nothrow_t(; _nothrow), "operator delete(void *, align_val_t, nothrow_t const &)";
    _ZdaPvSt11align_val_tRKSt9nothrow_t(; _nothrow), "operator delete[](void *, align_val_t, nothrow_t const &)";
}
