//! Medium blocks: one to sixteen slabs of a segment, with the descriptor of a span.
//!
//! # Safety
//! The descriptor belongs to the holder of the block.

use crate::backend::segment::{self, Run};
use crate::backend::slabs;
use crate::backend::span::Span;
use crate::base::sizes::{SLAB, SLABS, SMALL_MAX};
use crate::map::page_map;
use core::sync::atomic::{Ordering::Release, compiler_fence};
use hakmem_os::vm::PAGE;

/// How many slabs a block of `size` bytes takes: a request for nothing at a large alignment is a block like any other.
pub fn slabs_for(size: usize) -> usize {
    size.max(1).div_ceil(SLAB)
}

/// Usable bytes of a block for a request of `size`.
fn bytes_for(size: usize) -> usize {
    size.max(1).next_multiple_of(PAGE)
}

/// Whether a block of `usable` bytes may be one for a request of `size`, at no particular alignment.
pub fn serves(usable: usize, size: usize) -> bool {
    size > SMALL_MAX && size <= usable && bytes_for(size) == usable
}

/// Allocates `size` bytes; the flag says whether they are zero. `None` when the system has no memory.
pub fn allocate(size: usize) -> Option<(usize, bool)> {
    let run = slabs::claim(slabs_for(size))?;
    let span = run.span();
    span.start_medium(run.base(), run.slabs);
    take_down(span, size);
    Some((run.base(), run.zero))
}

/// The span of the block at `address`, if a medium block begins there. Its first slab's entry says MEDIUM.
pub fn at(address: usize) -> Option<&'static Span> {
    let segment = segment::containing(address)?;
    address.is_multiple_of(SLAB).then(|| &segment.spans[address / SLAB % SLABS])
}

/// Usable bytes of the block at `address`, if one begins there.
pub fn usable_size(address: usize) -> Option<usize> {
    at(address).map(Span::bytes)
}

/// Puts a block away that is free, to be taken down again. Its slabs stay claimed.
pub fn put_away(span: &'static Span) {
    page_map::set(span.base(), 1, page_map::CACHED);
}

/// Makes a block of `size` bytes of one that was put away.
pub fn take_down(span: &'static Span, size: usize) {
    span.set_bytes(bytes_for(size));
    page_map::set(span.base(), 1, page_map::MEDIUM);
}

/// Frees a block, or one that was put away.
pub fn release(span: &'static Span) {
    page_map::set(span.base(), 1, page_map::FREED);
    if let Some(run) = Run::of(span) {
        run.release_marked();
    }
}

/// Resizes the block at `address` where it stands; `None` leaves it as it was.
pub fn resize(address: usize, size: usize) -> Option<usize> {
    let span = at(address)?;
    let run = Run::of(span)?;
    let (wanted, bytes) = (slabs_for(size), bytes_for(size));
    // Its bytes lie within its slabs at every moment, and its slabs are its own: a child forked in between finds it whole.
    if wanted < run.slabs {
        span.set_bytes(bytes);
        compiler_fence(Release);
        span.set_slabs(wanted);
        compiler_fence(Release);
        Run { first: run.first + wanted, slabs: run.slabs - wanted, ..run }.release();
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
