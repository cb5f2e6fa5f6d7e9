//! The standard allocation functions, and glibc's additional names for them.
//!
//! # Safety
//! Each function has the contract of the C standard, of POSIX or of glibc; a block that is passed in is a live one.

use core::ffi::{c_int, c_void};
use core::ptr;
use hakmem_core::base::foreign;
use hakmem_core::heap;
use hakmem_core::map::page_map;
use hakmem_os::process::{EINVAL, ENOMEM, errno, set_enomem, set_errno};
use hakmem_os::vm::PAGE;

/// `malloc`: returns `size` bytes, aligned to 16 from 16 bytes up.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    heap::allocate(size).cast()
}

/// `calloc`: returns `count` times `size` zero bytes.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => heap::allocate_zeroed(bytes).cast(),
        None => no_memory(),
    }
}

#[cold]
#[inline(never)]
extern "C" fn no_memory() -> *mut c_void {
    set_enomem();
    ptr::null_mut()
}

/// `free`: ignores null, and leaves `errno` unchanged.
///
/// # Safety
/// As for the function of the C standard.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { heap::free(block.cast()) }
}

/// `realloc`: as in glibc, size 0 frees the block and returns null.
///
/// # Safety
/// As for the function of the C standard.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if heap::stays(block.cast(), size) {
        return block;
    }
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { realloc_cold(block, size) }
}

#[inline(never)]
unsafe extern "C" fn realloc_cold(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe {
        if size == 0 {
            heap::free(block.cast());
            return ptr::null_mut();
        }
        match heap::reallocate_if_live(block.cast(), size) {
            Some(resized) => resized.cast(),
            None => realloc_unknown(block, size),
        }
    }
}

#[cold]
fn realloc_unknown(block: *mut c_void, size: usize) -> *mut c_void {
    if page_map::entry(block as usize) == 0
        && let Some(resized) = foreign::reallocate(block.cast(), size)
    {
        return resized.cast();
    }
    heap::report_misuse("realloc", block.cast());
    no_memory()
}

/// `reallocarray`: `realloc` with a check for overflow.
///
/// # Safety
/// As for `realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller has the obligations that this function's `Safety` section states.
        Some(bytes) => unsafe { realloc(block, bytes) },
        None => no_memory(),
    }
}

fn invalid() -> *mut c_void {
    set_errno(EINVAL);
    ptr::null_mut()
}

/// `aligned_alloc`: sets EINVAL unless `align` is a power of two; accepts any size.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if align.is_power_of_two() { heap::allocate_aligned(size, align).cast() } else { invalid() }
}

/// `memalign`: like `aligned_alloc`, but rounds `align` up to a power of two.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => heap::allocate_aligned(size, align).cast(),
        None => invalid(),
    }
}

/// `posix_memalign`: returns the error, and leaves `errno` unchanged and, on failure, `*out` too.
///
/// # Safety
/// `out` points to memory that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return EINVAL;
    }
    let before = errno();
    let block = heap::allocate_aligned(size, align);
    if block.is_null() {
        set_errno(before);
        return ENOMEM;
    }
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { out.write(block.cast()) };
    0
}

/// `valloc`: returns `size` bytes at the start of a page.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    heap::allocate_aligned(size, PAGE).cast()
}

/// `pvalloc`: returns whole pages.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match size.max(1).checked_next_multiple_of(PAGE) {
        Some(size) => heap::allocate_aligned(size, PAGE).cast(),
        None => no_memory(),
    }
}

/// `malloc_usable_size`: returns how many bytes of the block may be written; 0 for null.
///
/// # Safety
/// `block` is null or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    let size = heap::usable_size(block.cast());
    let libcs = || (page_map::entry(block as usize) == 0).then(|| foreign::usable_size(block.cast())).flatten();
    size.or_else(libcs).unwrap_or_else(|| {
        heap::report_misuse("malloc_usable_size", block.cast());
        0
    })
}

/// C23's `free_sized`. The size is not needed: a wrong one does no harm, and is reported where it is noticed.
///
/// # Safety
/// As for `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, size: usize) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { heap::free_sized("free_sized", block.cast(), size, 0) }
}

/// C23's `free_aligned_sized`. Neither size nor alignment is needed, as in `free_sized`.
///
/// # Safety
/// As for `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { heap::free_sized("free_aligned_sized", block.cast(), size, align.max(1)) }
}

/// `cfree`, from before C89: the same as `free`.
///
/// # Safety
/// As for `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { heap::free(block.cast()) }
}

/// glibc's internal name for `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_malloc(size: usize) -> *mut c_void {
    malloc(size)
}

/// glibc's internal name for `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
    calloc(count, size)
}

/// glibc's internal name for `realloc`.
///
/// # Safety
/// As for `realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { realloc(block, size) }
}

/// glibc's internal name for `free`.
///
/// # Safety
/// As for `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_free(block: *mut c_void) {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { heap::free(block.cast()) }
}

/// glibc's internal name for `memalign`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut c_void {
    memalign(align, size)
}

/// glibc's internal name for `valloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
    valloc(size)
}

/// glibc's internal name for `pvalloc`.
#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
    pvalloc(size)
}

/// glibc's internal name for `posix_memalign`.
///
/// # Safety
/// As for `posix_memalign`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: the caller has the obligations that this function's `Safety` section states.
    unsafe { posix_memalign(out, align, size) }
}
