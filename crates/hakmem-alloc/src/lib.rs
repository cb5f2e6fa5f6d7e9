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
//! `GlobalAlloc` promises that a layout passed to `dealloc` or `realloc` is the one the block was allocated with. The argument
//! of `call_pressure` is always a function of the type that it makes of it.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;
use hakmem_core::base::wake_up;
use hakmem_core::reclaim::limits;
use hakmem_core::{heap, process};

pub use hakmem_core::reclaim::limits::Limits;
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
        heap::allocate_zeroed_aligned(layout.size(), layout.align())
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { heap::reallocate(block, size, layout.align()) }
    }
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
        heap::trim();
    }

    /// Says that the program is about to install a filter of system calls. From then on the allocator makes no calls but those by which
    /// memory comes and goes (`mmap`, `munmap`, `mremap`, `madvise`), the clock's, `futex`, and those of threads that allocate for the first
    /// time, which are the C library's.
    pub fn shut_in(&self) {
        wake_up::shut_in();
    }

    /// The limits of memory, what is used of them, and how often each was met. Reads the system's limits at this moment.
    pub fn limits(&self) -> Limits {
        limits::read()
    }

    /// Sets the soft and the hard limit in bytes, 0 for none; false, and no change, where the soft one is above the hard one.
    ///
    /// Above the soft limit all free memory goes back, caches are kept short, and the function given to
    /// [`on_pressure`](Hakmem::on_pressure) is called. What would go beyond the hard limit is refused, which most Rust
    /// programs answer by ending.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static GLOBAL: hakmem_alloc::Hakmem = hakmem_alloc::Hakmem;
    /// assert!(GLOBAL.on_pressure(Some(|used, limit| assert!(used > 0 && limit == 8 << 20))));
    /// assert!(GLOBAL.set_limits(8 << 20, 0));
    /// let crossing = vec![1_u8; 16 << 20];
    /// assert_eq!(GLOBAL.limits().soft_times, 1);
    /// # assert!(crossing.len() > 8 << 20);
    /// ```
    pub fn set_limits(&self, soft: usize, hard: usize) -> bool {
        let set = limits::set(soft, hard);
        heap::answer_demand();
        set
    }

    /// Registers a function to be called when a limit is reached, about once a second while it stays reached, and before an
    /// allocation fails; `None` takes it away. False where there is no memory to remember it.
    ///
    /// It gets the bytes used and the limit that was reached, 0 for memory pressure and where the system has no more. It is
    /// called by a thread that is allocating, with no lock of the allocator held, and may itself allocate and free; no call
    /// comes within another. A panic in it ends the process.
    pub fn on_pressure(&self, call: Option<fn(used: usize, limit: usize)>) -> bool {
        match call {
            // SAFETY: a function may be called from any thread; the argument is what `call_pressure` expects.
            Some(call) => unsafe { limits::on_pressure(Some(call_pressure), call as *mut c_void) },
            // SAFETY: nothing will be called.
            None => unsafe { limits::on_pressure(None, ptr::null_mut()) },
        }
    }
}

unsafe extern "C" fn call_pressure(call: *mut c_void, used: usize, limit: usize) {
    // SAFETY: `on_pressure` put a function of this type there.
    let call = unsafe { transmute::<*mut c_void, fn(usize, usize)>(call) };
    call(used, limit);
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
