//! Links between free blocks: the first word of a free block holds the address of the next one.
//!
//! # Safety
//! A free block is at least one word long, and no other code accesses it.

use hakmem_os::atomic::{note_read, note_write};

/// Returns the block after `block` in a list.
///
/// # Safety
/// `block` is a free block of this allocator.
#[inline(always)]
pub unsafe fn next_of(block: usize) -> usize {
    note_read(block);
    // SAFETY: a free block holds the link in its first word.
    unsafe { (block as *const usize).read_unaligned() }
}

/// Links `block` in front of `next`.
///
/// # Safety
/// `block` is a free block of this allocator.
#[inline(always)]
pub unsafe fn set_next(block: usize, next: usize) {
    note_write(block);
    // SAFETY: a free block is at least one word, and only its owner accesses it. What a program frees by mistake may be
    // unaligned.
    unsafe { (block as *mut usize).write_unaligned(next) }
}
