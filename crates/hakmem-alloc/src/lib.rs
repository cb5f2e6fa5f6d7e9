//! HAKMEM as a Rust global allocator.
//!
//! ```
//! use hakmem_alloc::Hakmem;
//!
//! #[global_allocator]
//! static GLOBAL: Hakmem = Hakmem;
//!
//! let words: Vec<String> = (0..1000).map(|n| format!("word {n}")).collect();
//! assert!(GLOBAL.usable_size(words.as_ptr().cast()) >= 1000 * size_of::<String>());
//!
//! let stats = GLOBAL.stats();
//! assert!(stats.allocations > 1000);
//! assert!(stats.live_bytes > 0);
//! assert!(!GLOBAL.worth_moving(words.as_ptr().cast()), "a block with its pages to itself");
//!
//! drop(words);
//! GLOBAL.collect();
//! ```
//!
//! Where the size of an allocation is known at compile time, so is its size class, and the call comes down to taking the
//! first block of one list.
//!
//! The settings of the environment (`HAKMEM_STATS=1` and the others) work here too.
//!
//! # Safety
//! `GlobalAlloc` promises that a layout passed to `dealloc` or `realloc` is the one the block was allocated with.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_char, c_int};
use hakmem_core::{heap, kept, process, space};

pub use hakmem_core::stats::Totals as Stats;

/// The allocator. It has no state of its own: every value of this type is the same allocator.
#[derive(Clone, Copy, Default, Debug)]
pub struct Hakmem;

/// The size to ask for so that the block is aligned to 16 where that is wanted: from 16 bytes up all blocks are.
#[inline(always)]
fn size_for(layout: Layout) -> usize {
    if layout.align() > 8 { layout.size().max(16) } else { layout.size() }
}

// SAFETY: blocks are apart, aligned and as long as the layout says; a failure is null; nothing unwinds.
unsafe impl GlobalAlloc for Hakmem {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return heap::allocate_inline(size_for(layout));
        }
        heap::allocate_aligned(layout.size(), layout.align())
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // The ownership test reads the page map, and the class comes with the answer. The layout's class would save nothing,
        // and be wrong for a block that shrank in place.
        // SAFETY: the caller's.
        unsafe { heap::free(block) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return heap::allocate_zeroed(size_for(layout));
        }
        alloc_zeroed_aligned(layout)
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { heap::reallocate(block, size, layout.align()) }
    }
}

/// Zeroed memory above the usual alignment: rare, and always written.
#[cold]
fn alloc_zeroed_aligned(layout: Layout) -> *mut u8 {
    let block = heap::allocate_aligned(layout.size(), layout.align());
    if !block.is_null() {
        // SAFETY: the block is that long and this caller's.
        unsafe { block.write_bytes(0, layout.size()) };
    }
    block
}

impl Hakmem {
    /// Bytes that may be used of the block at `block`, at least as many as were asked for; 0 for what is not a block.
    pub fn usable_size(&self, block: *const u8) -> usize {
        heap::usable_size(block).unwrap_or(0)
    }

    /// The overall numbers.
    pub fn stats(&self) -> Stats {
        hakmem_core::stats::totals()
    }

    /// Whether freeing `block` and allocating its size again in this thread would help to give memory back: for programs
    /// that defragment, block after block in the order ask, allocate, copy, free. False for what is not a live block.
    pub fn worth_moving(&self, block: *const u8) -> bool {
        heap::worth_moving(block)
    }

    /// Gives everything back that this thread caches, and all free memory to the system.
    pub fn collect(&self) {
        heap::collect();
        space::purge(true);
        kept::release(true);
    }
}

type Initialiser = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: Initialiser = begin;

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

unsafe extern "C" fn begin(_: c_int, _: *const *const c_char, environment: *const *const c_char) {
    // SAFETY: glibc passes the environment as the third argument.
    unsafe { process::begin(environment) }
}

extern "C" fn end() {
    process::end();
}
