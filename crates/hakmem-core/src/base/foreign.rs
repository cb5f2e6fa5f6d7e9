//! Pointers to memory of other allocators. Blocks of libc's own allocator are passed on to libc's functions; all other
//! pointers are left alone.
//!
//! A program can hold blocks of libc's allocator: those that libc allocated before this library was loaded into the
//! running program, and those that a library got because it found libc's `malloc` by other means than the symbol. glibc
//! stores the size of the chunk and three flags in the word before a block. Flag 2 marks a chunk that is a mapping of
//! its own. Flag 4 marks a chunk outside the main heap: its region is aligned to 64 MiB and begins with a pointer to
//! its arena (malloc/malloc.c and malloc/arena.c of glibc 2.36).
//!
//! # Safety
//! Each word is read only after the kernel has found it readable.

use core::ffi::c_void;
use hakmem_os::futex::readable;
use hakmem_os::libc_calls;
use hakmem_os::process;
use hakmem_os::vm::{ADDRESS_BITS, PAGE};

/// Flag of a chunk: the chunk before it is in use.
const PREVIOUS_IN_USE: usize = 1;
/// Flag of a chunk: it is a mapping of its own.
const OWN_MAPPING: usize = 2;
/// Flag of a chunk: it belongs to another arena than the main one.
const OTHER_ARENA: usize = 4;
const FLAGS: usize = 7;
/// Size and alignment of a region of such an arena.
const ARENA_REGION: usize = 64 << 20;
/// Bytes from the start of a chunk to its block.
const HEADER: usize = 2 * size_of::<usize>();

/// The word at `address`; `None` if it is not aligned or cannot be read.
fn read_word(address: usize) -> Option<usize> {
    // SAFETY: the word is aligned, so it lies within one page, and that page was found readable.
    (address.is_multiple_of(size_of::<usize>()) && readable(address))
        .then(|| unsafe { (address as *const usize).read_volatile() })
}

/// Whether `address` has all the marks of a live block of libc's allocator.
fn is_libcs(address: usize) -> bool {
    if !address.is_multiple_of(HEADER) || address < PAGE || address >> ADDRESS_BITS != 0 {
        return false;
    }
    let Some(header) = read_word(address - size_of::<usize>()) else { return false };
    let (size, flags) = (header & !FLAGS, header & FLAGS);
    let chunk = address - HEADER;
    if size < 2 * HEADER || !size.is_multiple_of(HEADER) || size > isize::MAX as usize {
        return false;
    }
    if flags & OWN_MAPPING != 0 {
        // The mapping begins `before` bytes before the chunk, and ends where the chunk ends.
        let Some(before) = read_word(chunk) else { return false };
        return flags & (OTHER_ARENA | PREVIOUS_IN_USE) == 0
            && before < chunk
            && (chunk - before).is_multiple_of(PAGE)
            && (before + size).is_multiple_of(PAGE)
            && readable(chunk + size - size_of::<u32>());
    }
    // The next chunk has a flag that says that this chunk is in use.
    let followed = read_word(chunk + size + size_of::<usize>()).is_some_and(|next| next & PREVIOUS_IN_USE != 0);
    if flags & OTHER_ARENA != 0 {
        let region = address & !(ARENA_REGION - 1);
        return followed
            && chunk + size <= region + ARENA_REGION
            && read_word(region).is_some_and(|arena| arena.is_multiple_of(16) && arena != 0 && readable(arena));
    }
    followed && in_main_heap(chunk, size)
}

/// Whether the chunk lies in libc's main heap, between the end of the program's data and the program break.
fn in_main_heap(chunk: usize, size: usize) -> bool {
    let end = libc_calls::program_break();
    chunk >= process::program_end() && chunk < end && size <= end - chunk
}

/// Frees `block` if it looks like a block of libc. Returns whether it was freed.
#[cold]
pub fn free(block: *mut u8) -> bool {
    let errno = process::errno();
    // SAFETY: the pointer has all the marks of a live block of libc.
    let freed = is_libcs(block as usize) && unsafe { libc_calls::free(block.cast::<c_void>()) };
    process::set_errno(errno);
    freed
}

/// Resizes `block` if it looks like a block of libc. Otherwise it does nothing and returns `None`.
#[cold]
pub fn reallocate(block: *mut u8, size: usize) -> Option<*mut u8> {
    // SAFETY: the pointer has all the marks of a live block of libc.
    is_libcs(block as usize).then(|| unsafe { libc_calls::realloc(block.cast::<c_void>(), size).cast::<u8>() })
}

/// The usable bytes of `block` if it looks like a block of libc; `None` otherwise.
#[cold]
pub fn usable_size(block: *mut u8) -> Option<usize> {
    // SAFETY: the pointer has all the marks of a live block of libc.
    is_libcs(block as usize).then(|| unsafe { libc_calls::usable_size(block.cast::<c_void>()) })
}
