//! The kernel of a model.
//!
//! # Safety
//! Each function is given what the one of the real kernel is given. The arena stays mapped.

use super::{ARENA, Mode, SEGMENT, make_known, note_write, world};
use crate::kernel::{Advice, Kernel};
use core::ptr;
use std::vec::Vec;

/// Maps from the arena, and never fails but for want of room; knows nothing of huge pages and cannot resize.
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

/// Notes that the kernel takes what was written to a range: nobody may be touching it.
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
    // SAFETY: the caller's; the arena's memory.
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
