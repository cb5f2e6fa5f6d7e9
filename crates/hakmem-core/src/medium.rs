//! Medium blocks: one to sixteen slabs of a segment, with the descriptor of a span.
//!
//! # Safety
//! The descriptor belongs to the holder of the block.

use crate::pagemap;
use crate::segment::{self, Run, Segment};
use crate::sizes::{SLAB, SLABS};
use crate::space;
use hakmem_os::vm::PAGE;

/// Allocates `size` bytes; the flag says whether they are zero. `None` when the system has no memory.
pub fn allocate(size: usize) -> Option<(usize, bool)> {
    // A request for nothing at a large alignment is a block like any other.
    let size = size.max(1);
    let run = space::claim(size.div_ceil(SLAB))?;
    let span = run.span();
    span.set_back(0);
    span.set_slabs(run.slabs);
    span.set_bytes(size.next_multiple_of(PAGE));
    pagemap::set(run.base(), 1, pagemap::MEDIUM);
    Some((run.base(), run.zero))
}

/// The slabs of the block at `address`, if a medium block begins there. Its first slab's entry says MEDIUM.
fn run_at(address: usize) -> Option<Run> {
    let segment: &'static Segment = segment::containing(address)?;
    let first = address / SLAB % SLABS;
    address.is_multiple_of(SLAB).then(|| Run {
        segment,
        first,
        slabs: segment.spans[first].slabs(),
        zero: false,
        resident: true,
    })
}

/// Usable bytes of the block at `address`, if one begins there.
pub fn usable_size(address: usize) -> Option<usize> {
    run_at(address).map(|run| run.span().bytes())
}

/// Frees the block at `address`; its size, or `None` if no block begins there.
pub fn free(address: usize) -> Option<usize> {
    let run = run_at(address)?;
    let bytes = run.span().bytes();
    run.release();
    Some(bytes)
}

/// Resizes the block at `address` where it stands; `None` leaves it as it was.
pub fn resize(address: usize, size: usize) -> Option<usize> {
    let run = run_at(address)?;
    let wanted = size.div_ceil(SLAB);
    if wanted > run.slabs {
        run.segment.claim_at(run.first + run.slabs, wanted - run.slabs)?;
    } else if wanted < run.slabs {
        Run { first: run.first + wanted, slabs: run.slabs - wanted, ..run }.release();
    }
    run.span().set_slabs(wanted);
    run.span().set_bytes(size.next_multiple_of(PAGE));
    Some(address)
}
