//! Pointers that are not ours: blocks of libc's own allocator go to libc's functions, anything else is left alone.
//!
//! Such blocks exist: memory that libc handed out before this library was loaded into a running program, or to a library
//! that holds libc's `malloc` by its own means. glibc puts the chunk's size and three flags in the word before a block: flag
//! 2 is a mapping of its own, flag 4 a chunk outside the main heap, whose 64 MiB-aligned region begins with a pointer to its
//! arena (malloc/malloc.c and malloc/arena.c of glibc 2.36).
//!
//! # Safety
//! Every word is found readable before it is read.

use core::ffi::c_void;
use hakmem_os::futex::readable;
use hakmem_os::libc_calls;
use hakmem_os::process;
use hakmem_os::vm::{ADDRESS_BITS, PAGE};

const PREVIOUS_IN_USE: usize = 1;
const MAPPED: usize = 2;
const OTHER_ARENA: usize = 4;
const FLAGS: usize = 7;
const ARENA_REGION: usize = 64 << 20;
const HEADER: usize = 2 * size_of::<usize>();

fn word(address: usize) -> Option<usize> {
    // SAFETY: the word lies within one page, found readable.
    (address.is_multiple_of(size_of::<usize>()) && readable(address))
        .then(|| unsafe { (address as *const usize).read_volatile() })
}

/// Whether `address` looks in every way like a live block of libc's allocator.
fn is_libcs(address: usize) -> bool {
    if !address.is_multiple_of(HEADER) || address < PAGE || address >> ADDRESS_BITS != 0 {
        return false;
    }
    let Some(header) = word(address - size_of::<usize>()) else { return false };
    let (size, flags) = (header & !FLAGS, header & FLAGS);
    let chunk = address - HEADER;
    if size < 2 * HEADER || !size.is_multiple_of(HEADER) || size > isize::MAX as usize {
        return false;
    }
    if flags & MAPPED != 0 {
        // The mapping begins `before` bytes ahead of the chunk and ends with it.
        let Some(before) = word(chunk) else { return false };
        return flags & (OTHER_ARENA | PREVIOUS_IN_USE) == 0
            && before < chunk
            && (chunk - before).is_multiple_of(PAGE)
            && (before + size).is_multiple_of(PAGE)
            && readable(chunk + size - size_of::<u32>());
    }
    // The chunk after this one says that this one is in use.
    let followed = word(chunk + size + size_of::<usize>()).is_some_and(|next| next & PREVIOUS_IN_USE != 0);
    if flags & OTHER_ARENA != 0 {
        let region = address & !(ARENA_REGION - 1);
        return followed
            && chunk + size <= region + ARENA_REGION
            && word(region).is_some_and(|arena| arena.is_multiple_of(16) && arena != 0 && readable(arena));
    }
    followed && in_main_heap(chunk, size)
}

fn in_main_heap(chunk: usize, size: usize) -> bool {
    let end = libc_calls::program_break();
    chunk >= process::program_end() && chunk < end && size <= end - chunk
}

/// Frees what may be libc's; whether it was.
#[cold]
pub fn free(block: *mut u8) -> bool {
    let errno = process::errno();
    // SAFETY: it looks like a live block of libc's.
    let freed = is_libcs(block as usize) && unsafe { libc_calls::free(block.cast::<c_void>()) };
    process::set_errno(errno);
    freed
}

/// Resizes what may be libc's; `None`, with nothing done, if it is not.
#[cold]
pub fn reallocate(block: *mut u8, size: usize) -> Option<*mut u8> {
    // SAFETY: it looks like a live block of libc's.
    is_libcs(block as usize).then(|| unsafe { libc_calls::realloc(block.cast::<c_void>(), size).cast::<u8>() })
}

/// Usable bytes of what may be libc's; `None` if it is not.
#[cold]
pub fn usable_size(block: *mut u8) -> Option<usize> {
    // SAFETY: it looks like a live block of libc's.
    is_libcs(block as usize).then(|| unsafe { libc_calls::usable_size(block.cast::<c_void>()) })
}
