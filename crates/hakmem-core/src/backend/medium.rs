//! Medium blocks: one to sixteen slabs of a segment, described by the descriptor of a span.
//!
//! # Safety
//! The descriptor belongs to the thread that holds the block.

use crate::backend::segment::{self, Claim};
use crate::backend::slabs;
use crate::backend::span::Span;
use crate::base::sizes::{SLAB, SLABS, SMALL_MAX};
use crate::map::page_map;
use core::sync::atomic::{Ordering::Release, compiler_fence};
use hakmem_os::vm::PAGE;

/// Returns how many slabs a block of `size` bytes takes. A request for 0 bytes at a large alignment takes one.
pub fn slabs_for(size: usize) -> usize {
    size.max(1).div_ceil(SLAB)
}

/// Returns the usable bytes of a block for a request of `size`.
fn bytes_for(size: usize) -> usize {
    size.max(1).next_multiple_of(PAGE)
}

/// Whether a block of `usable` bytes may be one for a request of `size`, at no particular alignment.
pub fn serves(usable: usize, size: usize) -> bool {
    size > SMALL_MAX && size <= usable && bytes_for(size) == usable
}

/// Allocates `size` bytes. Returns the address, and whether the block is zero; `None` when the system has no memory.
pub fn allocate(size: usize) -> Option<(usize, bool)> {
    let run = slabs::claim(slabs_for(size))?;
    let span = run.span();
    span.start_medium(run.base(), run.slabs);
    mark_live(span, size);
    Some((run.base(), run.zero))
}

/// Returns the span of the block at `address`, if a medium block begins there. The page map entry of its first slab
/// says MEDIUM.
pub fn at(address: usize) -> Option<&'static Span> {
    let segment = segment::containing(address)?;
    address.is_multiple_of(SLAB).then(|| &segment.spans[address / SLAB % SLABS])
}

/// Returns the usable bytes of the block at `address`, if one begins there.
pub fn usable_size(address: usize) -> Option<usize> {
    at(address).map(Span::bytes)
}

/// Marks a freed block as cached. Its slabs stay claimed.
pub fn mark_cached(span: &'static Span) {
    page_map::set(span.base(), 1, page_map::CACHED);
}

/// Makes a cached block, or newly claimed slabs, a live block of `size` bytes.
pub fn mark_live(span: &'static Span, size: usize) {
    span.set_bytes(bytes_for(size));
    page_map::set(span.base(), 1, page_map::MEDIUM);
}

/// Releases the slabs of a live or a cached block.
pub fn release(span: &'static Span) {
    page_map::set(span.base(), 1, page_map::FREED);
    if let Some(run) = Claim::of(span) {
        run.release_marked();
    }
}

/// Resizes the block at `address` in place; `None` means that it stays as it was.
pub fn resize(address: usize, size: usize) -> Option<usize> {
    let span = at(address)?;
    let run = Claim::of(span)?;
    let (wanted, bytes) = (slabs_for(size), bytes_for(size));
    // At every moment the bytes of the block lie within its slabs, and the slabs are claimed for it: a child process
    // forked in between finds it consistent.
    if wanted < run.slabs {
        span.set_bytes(bytes);
        compiler_fence(Release);
        span.set_slabs(wanted);
        compiler_fence(Release);
        Claim { first: run.first + wanted, slabs: run.slabs - wanted, ..run }.release();
    } else {
        if wanted > run.slabs {
            run.segment.claim_at(run.first + run.slabs, wanted - run.slabs)?;
            span.set_slabs(wanted);
            compiler_fence(Release);
        }
        span.set_bytes(bytes);
    }
    Some(address)
}
