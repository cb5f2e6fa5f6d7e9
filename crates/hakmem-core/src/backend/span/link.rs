//! Links between free blocks: the first word of a free block holds the address of the next one.
//!
//! # Safety
//! A free block is at least one word, and nobody else refers to it.

use hakmem_os::atomic::{note_read, note_write};

/// The block after `block` in a list.
///
/// # Safety
/// `block` is a free block of ours.
#[inline(always)]
pub unsafe fn next_of(block: usize) -> usize {
    note_read(block);
    // SAFETY: a free block holds the link in its first word.
    unsafe { (block as *const usize).read_unaligned() }
}

/// Links `block` in front of `next`.
///
/// # Safety
/// `block` is a free block of ours.
#[inline(always)]
pub unsafe fn set_next(block: usize, next: usize) {
    note_write(block);
    // SAFETY: a free block is at least one word and nobody else's. What a program frees by mistake may not be aligned.
    unsafe { (block as *mut usize).write_unaligned(next) }
}
