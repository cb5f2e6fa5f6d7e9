//! The allocator's entries, each with what it promises of `errno`.
//!
//! # Safety
//! The caller passes a live block with its layout, and does not use the block after it moved or was freed.

use crate::program::Call;
use hakmem_alloc::Hakmem;
use hakmem_core::heap;
use hakmem_os::process::{ENOMEM, errno, set_errno};
use std::alloc::{GlobalAlloc, Layout};

/// No call of the allocator leaves this number behind.
const UNTOUCHED: i32 = 0;

/// Null comes with ENOMEM, a block with `errno` as it was.
fn allocating(call: impl FnOnce() -> *mut u8) -> *mut u8 {
    set_errno(UNTOUCHED);
    let block = call();
    let expected = if block.is_null() { ENOMEM } else { UNTOUCHED };
    assert_eq!(errno(), expected, "errno after the answer {block:?}");
    block
}

/// Allocates a block; `None` where the call cannot be made with this size.
pub fn allocate(call: Call, size: usize) -> Option<*mut u8> {
    // A layout of no bytes may not be allocated.
    let layout = |align| Layout::from_size_align(size, align).ok().filter(|layout| layout.size() != 0);
    Some(match call {
        Call::Plain => allocating(|| heap::allocate(size)),
        Call::Zeroed => allocating(|| heap::allocate_zeroed(size)),
        Call::Aligned(align) => allocating(|| heap::allocate_aligned(size, align)),
        Call::New => allocating(|| {
            let at_hand = heap::pop_for_new(size);
            if at_hand.is_null() { heap::allocate_for_new(size) } else { at_hand }
        }),
        Call::Rust(align) => {
            let layout = layout(align)?;
            // SAFETY: the layout has bytes.
            allocating(|| unsafe { Hakmem.alloc(layout) })
        }
        Call::RustZeroed(align) => {
            let layout = layout(align)?;
            // SAFETY: the layout has bytes.
            allocating(|| unsafe { Hakmem.alloc_zeroed(layout) })
        }
    })
}

/// The alignment that the block must have.
pub fn alignment(call: Call, size: usize) -> usize {
    match call {
        Call::Plain | Call::Zeroed => usual_alignment(size),
        Call::Aligned(align) => align.max(usual_alignment(size)),
        Call::New => 16,
        Call::Rust(align) | Call::RustZeroed(align) => align.max(usual_alignment(size)),
    }
}

/// The alignment that every block of this size has.
pub fn usual_alignment(size: usize) -> usize {
    if size >= 16 { 16 } else { 8 }
}

/// The core's `reallocate`, which keeps an alignment that the block has.
///
/// # Safety
/// `block` is live, and forgotten unless null comes back.
pub unsafe fn reallocate(block: *mut u8, size: usize, align: usize) -> *mut u8 {
    // SAFETY: the caller's.
    allocating(|| unsafe { heap::reallocate(block, size, align) })
}

/// The core's part of C's `realloc`, for a size that is not zero.
///
/// # Safety
/// As for [`reallocate`].
pub unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's.
    allocating(|| if heap::stays(block, size) { block } else { unsafe { heap::reallocate(block, size, 1) } })
}

/// The Rust face's `realloc`; `None` where the new layout does not exist.
///
/// # Safety
/// As for [`reallocate`]; the block has this layout.
pub unsafe fn rust_reallocate(block: *mut u8, layout: Layout, size: usize) -> Option<*mut u8> {
    Layout::from_size_align(size, layout.align()).ok().filter(|layout| layout.size() != 0)?;
    // SAFETY: the caller's; the new size is not zero and fits a layout.
    Some(allocating(|| unsafe { Hakmem.realloc(block, layout, size) }))
}

/// Frees a block, which keeps `errno`.
///
/// # Safety
/// `block` is null, or live and has this layout, and is forgotten.
pub unsafe fn free(block: *mut u8, layout: Option<Layout>) {
    set_errno(UNTOUCHED);
    match layout {
        // SAFETY: the caller's.
        Some(layout) => unsafe { Hakmem.dealloc(block, layout) },
        // SAFETY: the caller's.
        None => unsafe { heap::free(block) },
    }
    assert_eq!(errno(), UNTOUCHED, "errno after free");
}
