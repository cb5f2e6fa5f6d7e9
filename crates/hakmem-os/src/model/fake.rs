//! The kernel of a model: the table of `kernel`, with memory from the arena and a clock that a call moves by a microsecond.
//!
//! # Safety
//! Each function gets what the function of the real kernel gets. The arena stays mapped.

use super::{ARENA, Mode, SEGMENT, make_known, note_write, world};
use crate::kernel::{Advice, Kernel};
use core::ptr;
use std::vec::Vec;

/// Maps memory from the arena, and fails only when the arena is used up. It has no huge pages and resizes nothing.
pub(super) static KERNEL: Kernel = Kernel { map, unmap, purge, remap, advise, now, micros };

fn map(_: usize, len: usize, _: bool) -> usize {
    let (at, is_new) = world(|world| {
        let at = world.top.next_multiple_of(if len < SEGMENT { 64 << 10 } else { SEGMENT });
        if len > ARENA || at + len > world.arena + ARENA {
            return (0, false);
        }
        world.top = at + len;
        (at, world.mode == Mode::Exploring && world.sealed.is_some())
    });
    if is_new {
        make_known(|address| (at..at + len).contains(&address));
    }
    at
}

/// Notes that the kernel takes away the contents of a range: no thread may be accessing it.
fn note_taken_away(at: usize, len: usize) {
    let mut touched: Vec<usize> =
        world(|world| world.cells.keys().copied().filter(|cell| (at..at + len).contains(cell)).collect());
    touched.sort_unstable();
    touched.into_iter().for_each(note_write);
}

unsafe fn unmap(at: usize, len: usize) -> bool {
    note_taken_away(at, len);
    world(|world| world.unmapped.push(at..at + len));
    true
}

unsafe fn purge(at: usize, len: usize) -> bool {
    note_taken_away(at, len);
    // SAFETY: the range is memory of the arena, and the caller owns it.
    unsafe { ptr::write_bytes(at as *mut u8, 0, len) };
    true
}

unsafe fn remap(_: usize, _: usize, _: usize, _: usize) -> bool {
    false
}

unsafe fn advise(_: usize, _: usize, _: Advice) -> bool {
    true
}

fn now() -> u64 {
    micros() / 1000
}

fn micros() -> u64 {
    world(|world| {
        world.micros += 1;
        1_000_000 + world.micros
    })
}
