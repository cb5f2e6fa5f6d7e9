//! Where a workload's blocks come from: malloc as the dynamic linker found it, or the ceiling.
//!
//! # Safety
//! Calls of the C allocator with its own contract; pointers it gave go back to it once.

use std::{hint::black_box, ptr, ptr::NonNull};

/// An allocator as the workloads see it. A handle stands for a live block; only the source knows what is in it.
pub trait Source: 'static {
    /// A new block of `size` bytes, at least one; a source without memory ends the process.
    fn allocate(size: usize) -> NonNull<u8>;

    /// The same with all bytes zero.
    fn allocate_zeroed(size: usize) -> NonNull<u8>;

    /// Gives a block room for `size` bytes and keeps its contents.
    ///
    /// # Safety
    /// `handle` came from this source, is live, and is used no more.
    unsafe fn reallocate(handle: NonNull<u8>, size: usize) -> NonNull<u8>;

    /// Takes a block back.
    ///
    /// # Safety
    /// `handle` came from this source, is live, and is used no more.
    unsafe fn release(handle: NonNull<u8>);

    /// Where the bytes of a block begin.
    fn address(handle: NonNull<u8>) -> NonNull<u8>;
}

/// The allocator under test, called through C's dynamic symbols.
pub struct Malloc;

impl Malloc {
    /// A new block at a multiple of `alignment`, a power of two of at least 8.
    #[inline(always)]
    pub fn allocate_aligned(alignment: usize, size: usize) -> NonNull<u8> {
        let mut start = ptr::null_mut();
        // SAFETY: the call stores one pointer. On failure it stores nothing, which is reported like no memory.
        unsafe { libc::posix_memalign(&mut start, alignment, size) };
        given(start, size)
    }

    /// A new block, or nothing where there is no memory for it.
    #[inline(always)]
    pub fn try_allocate(size: usize) -> Option<NonNull<u8>> {
        // SAFETY: malloc takes any size.
        NonNull::new(black_box(unsafe { libc::malloc(size) }).cast())
    }
}

impl Source for Malloc {
    #[inline(always)]
    fn allocate(size: usize) -> NonNull<u8> {
        // SAFETY: malloc takes any size.
        given(unsafe { libc::malloc(size) }, size)
    }

    #[inline(always)]
    fn allocate_zeroed(size: usize) -> NonNull<u8> {
        // SAFETY: calloc takes any size.
        given(unsafe { libc::calloc(1, size) }, size)
    }

    #[inline(always)]
    unsafe fn reallocate(handle: NonNull<u8>, size: usize) -> NonNull<u8> {
        // SAFETY: the handle is malloc's own pointer, and the caller gives it up.
        given(unsafe { libc::realloc(handle.as_ptr().cast(), size) }, size)
    }

    #[inline(always)]
    unsafe fn release(handle: NonNull<u8>) {
        // SAFETY: the handle is malloc's own pointer, and the caller gives it up.
        unsafe { libc::free(handle.as_ptr().cast()) }
    }

    #[inline(always)]
    fn address(handle: NonNull<u8>) -> NonNull<u8> {
        handle
    }
}

/// The block, hidden from the compiler, which knows malloc and would otherwise be free to leave the call out.
#[inline(always)]
fn given(start: *mut libc::c_void, size: usize) -> NonNull<u8> {
    let Some(start) = NonNull::new(black_box(start).cast::<u8>()) else { out_of_memory(size) };
    start
}

/// Ends the worker: a workload that gets no memory measures nothing.
#[cold]
fn out_of_memory(size: usize) -> ! {
    panic!("the allocator returned no memory for {size} bytes")
}
