//! A Rust program on HAKMEM: what the compiler makes of an allocation whose size it knows.
//!
//! The functions below are compiled on their own and under their own names, so that the tests of the fast path find them.
//!
//! # Safety
//! `rust_free` takes only what `rust_allocate` returned.

use std::alloc::{Layout, alloc, dealloc};

use hakmem_alloc::Hakmem;

#[global_allocator]
static GLOBAL: Hakmem = Hakmem;

type Value = [u64; 8];

/// What `Box::new` does for 64 bytes.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_allocate() -> *mut u8 {
    // SAFETY: the size is not zero.
    unsafe { alloc(Layout::new::<Value>()) }
}

/// What dropping that box does.
///
/// # Safety
/// `block` is from `rust_allocate`, and is not used again.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn rust_free(block: *mut u8) {
    // SAFETY: the caller's, and the layout is the one it was allocated with.
    unsafe { dealloc(block, Layout::new::<Value>()) }
}

fn main() {
    let blocks: Vec<*mut u8> = (0..1000).map(|_| rust_allocate()).collect();
    let missing = blocks.iter().filter(|block| block.is_null()).count();
    for block in blocks {
        // SAFETY: each block is freed once, right here.
        unsafe { rust_free(block) };
    }
    println!("{missing} of 1000 blocks could not be allocated");
}
