//! Blocks from the allocator under test, asked for as any C program asks: through the dynamic symbols.
//!
//! # Safety
//! A block is owned by one handle, which is consumed when the block is freed.

use crate::source::{Malloc, Source};
use std::{
    ffi::{c_int, c_void},
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
};

/// A live block of the allocator `S`. Giving it back consumes it, so that no workload can free twice; one that is
/// dropped stays allocated.
#[repr(transparent)]
pub struct Block<S: Source>(NonNull<u8>, PhantomData<S>);

// SAFETY: a block is nothing but its address, and malloc's contract lets any thread use and free it.
unsafe impl<S: Source> Send for Block<S> {}

impl<S: Source> Block<S> {
    /// Allocates `size` bytes, at least one, and writes the first and the last of them.
    #[inline(always)]
    pub fn allocate(size: usize) -> Self {
        Self::touched(S::allocate(size), size)
    }

    /// Allocates `size` bytes, all of them zero, and writes none.
    #[inline(always)]
    pub fn allocate_zeroed(size: usize) -> Self {
        Self(S::allocate_zeroed(size), PhantomData)
    }

    /// The block with room for `size` bytes: where it is, or moved.
    #[inline(always)]
    pub fn reallocate(self, size: usize) -> Self {
        // SAFETY: the block came from this source and is consumed here.
        Self(unsafe { S::reallocate(self.0, size) }, PhantomData)
    }

    /// Gives the block back.
    #[inline(always)]
    pub fn release(self) {
        // SAFETY: the block came from this source and is consumed here.
        unsafe { S::release(self.0) }
    }

    /// Where its bytes begin.
    #[inline(always)]
    pub fn address(&self) -> NonNull<u8> {
        S::address(self.0)
    }

    /// Writes one byte of every page, as a program does that uses all of a large block.
    #[inline]
    pub fn touch_pages(&mut self, size: usize) {
        for offset in (0..size).step_by(4096) {
            // SAFETY: callers pass the size they allocated.
            unsafe { self.address().add(offset).write_volatile(1) };
        }
    }

    /// Writes all bytes from `from` up to `to`, at most the size of the block.
    #[inline]
    pub fn fill_part(&mut self, from: usize, to: usize) {
        // SAFETY: callers pass offsets within the size they allocated.
        unsafe { self.address().add(from).write_bytes(1, to - from) };
    }

    #[inline(always)]
    fn touched(handle: NonNull<u8>, size: usize) -> Self {
        let block = Self(handle, PhantomData);
        let start = block.address();
        // SAFETY: the block has `size` bytes. Volatile, because the compiler knows malloc and could leave it out.
        unsafe {
            start.write_volatile(1);
            start.add(size - 1).write_volatile(1);
        }
        block
    }
}

impl Block<Malloc> {
    /// Allocates `size` bytes at a multiple of `alignment`, a power of two of at least 8.
    #[inline(always)]
    pub fn allocate_aligned(alignment: usize, size: usize) -> Self {
        Self::touched(Malloc::allocate_aligned(alignment, size), size)
    }

    /// Allocates `size` bytes and writes none; nothing where there is no memory.
    #[inline(always)]
    pub fn try_allocate(size: usize) -> Option<Self> {
        Malloc::try_allocate(size).map(|handle| Self(handle, PhantomData))
    }
}

/// A table of blocks that does not itself come from the allocator under test.
pub struct Slots<S: Source> {
    table: NonNull<Option<Block<S>>>,
    length: usize,
}

// SAFETY: a table owns its mapping, and blocks may go to any thread.
unsafe impl<S: Source> Send for Slots<S> {}

impl<S: Source> Slots<S> {
    /// A table of `length` empty slots, mapped from the system and touched, so that its page faults are not measured.
    pub fn new(length: usize) -> Self {
        let bytes = length * size_of::<Option<Block<S>>>();
        const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a fresh private mapping touches nothing that exists.
        let table = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, FLAGS, -1, 0) };
        assert!(table != libc::MAP_FAILED, "the system has no {bytes} bytes for a table of {length} slots");
        Self { table: NonNull::new(table.cast()).expect("no mapping lies at address 0"), length }
    }

    /// Gives the block of a slot back, if there is one, and puts a new one of `size` bytes there.
    #[inline(always)]
    pub fn renew(&mut self, index: usize, size: usize) {
        if let Some(block) = self[index].take() {
            block.release();
        }
        self[index] = Some(Block::allocate(size));
    }

    /// Gives all blocks back and leaves every slot empty.
    pub fn release_all(&mut self) {
        self.iter_mut().filter_map(Option::take).for_each(Block::release);
    }
}

impl<S: Source> Deref for Slots<S> {
    type Target = [Option<Block<S>>];

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the mapping holds `length` slots, zeroed by the system, which is `None`, and lives as long as `self`.
        unsafe { NonNull::slice_from_raw_parts(self.table, self.length).as_ref() }
    }
}

impl<S: Source> DerefMut for Slots<S> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { NonNull::slice_from_raw_parts(self.table, self.length).as_mut() }
    }
}

impl<S: Source> Drop for Slots<S> {
    fn drop(&mut self) {
        let bytes = self.length * mem::size_of::<Option<Block<S>>>();
        // SAFETY: the mapping was made by `new` with this length, and nobody borrows from it any more.
        unsafe { libc::munmap(self.table.as_ptr().cast::<c_void>(), bytes) };
    }
}
