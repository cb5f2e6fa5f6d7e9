//! Blocks from the allocator under test, asked for as any C program asks: through the dynamic symbols.

use std::{
    ffi::{c_int, c_void},
    hint::black_box,
    mem,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
};

/// A live block. Giving it back consumes it, so that no workload can free twice; one that is dropped stays allocated.
#[repr(transparent)]
pub struct Block(NonNull<u8>);

// SAFETY: a block is nothing but its address, and malloc's contract lets any thread use and free it.
unsafe impl Send for Block {}

impl Block {
    /// Allocates `size` bytes, at least one, and writes the first and the last of them.
    #[inline(always)]
    pub fn allocate(size: usize) -> Self {
        // SAFETY: malloc takes any size.
        let start = unsafe { libc::malloc(size) };
        // The compiler knows malloc and would otherwise be free to leave it out.
        let Some(start) = NonNull::new(black_box(start).cast::<u8>()) else { out_of_memory(size) };
        // SAFETY: the block has `size` bytes.
        unsafe {
            start.write_volatile(1);
            start.add(size - 1).write_volatile(1);
        }
        Self(start)
    }

    /// Gives the block back.
    #[inline(always)]
    pub fn release(self) {
        // SAFETY: the block came from malloc and is consumed here.
        unsafe { libc::free(self.0.as_ptr().cast()) }
    }
}

/// Ends the worker: a workload that gets no memory measures nothing.
#[cold]
fn out_of_memory(size: usize) -> ! {
    panic!("the allocator returned no memory for {size} bytes")
}

/// A table of blocks that does not itself come from the allocator under test.
pub struct Slots {
    table: NonNull<Option<Block>>,
    length: usize,
}

impl Slots {
    /// A table of `length` empty slots, mapped from the system and touched, so that its page faults are not measured.
    pub fn new(length: usize) -> Self {
        let bytes = length * size_of::<Option<Block>>();
        const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a fresh private mapping touches nothing that exists.
        let table = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, FLAGS, -1, 0) };
        assert!(table != libc::MAP_FAILED, "the system has no {bytes} bytes for a table of {length} slots");
        Self { table: NonNull::new(table.cast()).expect("no mapping lies at address 0"), length }
    }

    /// Gives all blocks back and leaves every slot empty.
    pub fn release_all(&mut self) {
        self.iter_mut().filter_map(Option::take).for_each(Block::release);
    }
}

impl Deref for Slots {
    type Target = [Option<Block>];

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the mapping holds `length` slots, zeroed by the system, which is `None`, and lives as long as `self`.
        unsafe { NonNull::slice_from_raw_parts(self.table, self.length).as_ref() }
    }
}

impl DerefMut for Slots {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { NonNull::slice_from_raw_parts(self.table, self.length).as_mut() }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let bytes = self.length * mem::size_of::<Option<Block>>();
        // SAFETY: the mapping was made by `new` with this length, and nobody borrows from it any more.
        unsafe { libc::munmap(self.table.as_ptr().cast::<c_void>(), bytes) };
    }
}
