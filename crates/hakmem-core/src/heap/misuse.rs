//! Misuse that slow paths find: what is wrong with a pointer, and with the list of a bin.
//!
//! The fast path of `free` compares a block with the latest one of its bin and no more, so a block may come into a bin twice, or be
//! none. That is found where the bin is settled, emptied or given back, before which the block may be handed out:
//!
//! - The latest block is looked at whenever a bin is settled, which a new bin is after its first free, its third, its seventh and so
//!   on; and so is the beginning of its list.
//! - A block that goes back to its span must begin where a block begins, must have been handed out, and must not be marked as back.
//! - When the process ends normally the bins of the thread that ends it are looked through.
//!
//! A block that was pushed twice has one link for two places: the list then leads in a circle, and what stood behind the block is out
//! of reach. The circle is opened, and what is lost counts as in use from then on. So the equations of bins, lanes and spans hold
//! after misuse was named.
//!
//! # Safety
//! Lists are followed only through what the page map says are blocks of the bin's own class and heap. By the bin's owner, in a
//! slow path.

use super::entry::{anchor_in, class_in, entry_for, is_small};
use super::layout::{BINS_BYTES, Bin, Heap, Locked};
use super::lookup::usable_size_of;
use super::this_thread;
use crate::backend::large;
use crate::backend::medium;
use crate::backend::segment;
use crate::backend::segment::span_of;
use crate::backend::span::{Refusal, Span, next_of, set_next};
use crate::base::guard::{self, Place, Wrong};
use crate::base::sizes::{BLOCK_SIZE, CLASSES, SLAB, SLABS};
use crate::map::page_map;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::slot;
use hakmem_os::vm::ADDRESS_BITS;

/// Blocks of a list that are looked at for each settling, and one more for each so many frees.
const STEPS: u32 = 8;
const FREES_A_STEP: u32 = 64;
/// So many frees are looked at each time that the bin is settled.
const FIRST_FREES: u64 = 64;
/// Frees from one look at the beginning of a list to the next, after these; a power of two.
const FREES_A_LOOK: u64 = 512;
/// Blocks that are looked at when the process ends: a fraction of a millisecond.
const STEPS_AT_THE_END: u32 = 4096;
/// How far back the page map is searched for a large block that a pointer lies in, in slabs: a gigabyte.
const SLABS_BACK: usize = (1 << 30) / SLAB;

fn small(class: usize) -> Place {
    Place::Small(BLOCK_SIZE[class] as usize)
}

/// Called by the fast path of `free` for the block that it freed last.
#[cold]
#[inline(never)]
pub(super) extern "C" fn freed_twice_in_a_row(block: *mut u8) {
    let entry = page_map::entry(block as usize);
    let thread = Heap::at_anchor(anchor_in(entry)).thread.load(Relaxed);
    guard::report("free", block as usize, Wrong::FreedTwice(small(class_in(entry)), thread));
}

/// Names what is wrong with a pointer that `function` found to be no block in use.
#[cold]
#[inline(never)]
pub fn name_misuse(function: &str, pointer: *mut u8) {
    guard::report(function, pointer as usize, wrong_with(pointer as usize));
}

pub(super) fn wrong_with(address: usize) -> Wrong {
    let entry = page_map::entry(address);
    if is_small(entry) {
        let (class, span) = (class_in(entry), span_of(address));
        return match span.map(|span| span.index_of(address)) {
            Some(Err(Refusal::Inside(bytes))) => Wrong::Inside(small(class), bytes),
            _ if is_latest(entry, address) => {
                Wrong::FreedTwice(small(class), Heap::at_anchor(anchor_in(entry)).thread.load(Relaxed))
            }
            _ if is_free(address) => Wrong::FreedTwice(small(class), 0),
            _ => Wrong::NotInUse,
        };
    }
    if entry == 0 && address >> ADDRESS_BITS != 0 {
        return Wrong::Unknown;
    }
    if entry == page_map::CACHED
        && let Some(heap) = this_thread::heap()
        && heap.medium_cache.blocks().any(|(_, span)| span.base() == address)
    {
        let bytes = medium::usable_size(address).unwrap_or(0);
        return Wrong::FreedTwice(Place::Medium(bytes), heap.thread.load(Relaxed));
    }
    let around = block_around(address).map(|(place, base)| Wrong::Inside(place, address - base));
    around.unwrap_or(if entry == 0 { Wrong::Unknown } else { Wrong::NotInUse })
}

/// The medium or large block in use that `address` lies in, and where it begins.
fn block_around(address: usize) -> Option<(Place, usize)> {
    let slab = address & !(SLAB - 1);
    let starts = (0..SLABS_BACK).map_while(|back| slab.checked_sub(back * SLAB));
    // Only the first slab of a large block has an entry; those of a medium one are marked free behind the first.
    let (base, entry) = starts
        .map(|at| (at, page_map::entry(at)))
        .find(|(_, entry)| is_small(*entry) || *entry == page_map::MEDIUM || large::is_large(*entry))?;
    let (place, length) = if entry == page_map::MEDIUM {
        let span = &segment::containing(base)?.spans[base / SLAB % SLABS];
        (Place::Medium(span.bytes()), span.slabs() * SLAB)
    } else if large::is_large(entry) {
        let bytes = large::usable_size(entry, base)?;
        (Place::Large(bytes), bytes)
    } else {
        return None;
    };
    (address - base < length).then_some((place, base))
}

/// Whether the small block at `address` is known to be free: the list of its span holds it, or it was freed last by this thread.
pub(super) fn is_free(address: usize) -> bool {
    let entry = page_map::entry(address);
    is_small(entry) && (is_latest(entry, address) || span_of(address).is_some_and(|span| span.holds(address)))
}

/// Usable bytes of the block at `address`, whose entry this is; `None` if no block of ours begins there, or it is known to be free.
#[inline]
pub(super) fn live_size(entry: usize, address: usize) -> Option<usize> {
    if !is_small(entry) {
        return usable_size_of(entry, address);
    }
    let span = span_of(address)?;
    let may_be_live = !is_latest(entry, address) && span.is_out(address);
    may_be_live.then(|| span.block_size())
}

/// Whether a small block, whose entry this is, is the latest one in its bin, which is this thread's.
fn is_latest(entry: usize, address: usize) -> bool {
    let anchor = slot::heap();
    let distance = entry ^ anchor;
    // SAFETY: then the entry is that of blocks whose bin lies at this distance from this thread's anchor.
    distance >= BINS_BYTES.wrapping_neg() && unsafe { Bin::at(anchor, distance) }.head.load(Relaxed) == address
}

/// Looks through the bins of the thread that ends the process, as far as that takes next to no time.
pub fn look_through_bins() {
    if slot::heap() == 0 {
        return;
    }
    let Some(heap) = Heap::for_slow_path() else { return };
    let mut left = STEPS_AT_THE_END;
    for class in (0..CLASSES).filter(|class| heap.bins[*class].head.load(Relaxed) != 0) {
        heap.settle(class);
        let steps = heap.lanes[class].held.get().min(left);
        if !heap.looks_right(class, steps, steps) {
            heap.lock_as_owner().mend(class);
        }
        heap.grant(class);
        left -= steps;
    }
}

impl Heap {
    /// Looks at the beginning of a bin that was settled after so many frees: each time at first, and now and then later on.
    #[inline]
    pub(super) fn look_at_bin(&self, class: usize, frees: u32) {
        let all = self.lanes[class].pushed.get();
        let before = all.wrapping_sub(u64::from(frees));
        if before < FIRST_FREES || before ^ all >= FREES_A_LOOK {
            self.look_closely(class, frees);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_closely(&self, class: usize, frees: u32) {
        if !self.looks_right(class, 1, STEPS + frees / FREES_A_STEP) {
            self.lock_as_owner().mend(class);
        }
    }

    /// Whether the first `steps` blocks of a settled bin are a list that ends where it should, and the first `close` of them are
    /// what they should be.
    fn looks_right(&self, class: usize, close: u32, steps: u32) -> bool {
        let held = self.lanes[class].held.get();
        let steps = steps.min(held);
        let (mut block, mut left) = (self.bins[class].head.load(Relaxed), steps);
        // A block is compared with the one that came last at a power of two: so a circle is found in one turn of it or two.
        let (mut earlier, mut power, mut lap) = (0, 1_u32, 1_u32);
        let mut before = usize::MAX;
        while left != 0 {
            // What is in the slab of the one before it is in the same bin's.
            let is_right = (block ^ before < SLAB || self.is_in_bin(class, block)) && block != earlier;
            if !is_right || steps - left < close && self.wrong_in_bin(class, block).is_some() {
                return false;
            }
            lap -= 1;
            if lap == 0 {
                power = power.wrapping_mul(2);
                (earlier, lap) = (block, power);
            }
            // SAFETY: a block of this bin.
            (before, block) = (block, unsafe { next_of(block) });
            left -= 1;
        }
        block == 0 || steps < held
    }

    /// Whether the page map says that `block` may stand in this bin.
    fn is_in_bin(&self, class: usize, block: usize) -> bool {
        page_map::entry(block) == entry_for(self.anchor(), class)
    }

    /// What is wrong with a block of a bin, if it is seen.
    fn wrong_in_bin(&self, class: usize, block: usize) -> Option<Wrong> {
        let (lane, span) = (&self.lanes[class], span_of(block)?);
        let run = lane.bump.get()..lane.end.get();
        if span.is_out(block) && !run.contains(&block) {
            return None;
        }
        match span.index_of(block) {
            Err(Refusal::Inside(bytes)) => Some(Wrong::Inside(small(class), bytes)),
            _ if run.contains(&block) => Some(Wrong::NeverHandedOut(small(class))),
            _ if span.holds(block) => Some(Wrong::FreedTwice(small(class), 0)),
            _ => None,
        }
    }

    /// Notes that a settled bin holds `length` blocks. Those it was counted to hold beyond that count as popped: some are lost,
    /// as if they were in use, and others were never in use when they were freed.
    pub(super) fn count_lost(&self, class: usize, length: u32) {
        let lane = &self.lanes[class];
        let lost = lane.held.replace(length).wrapping_sub(length) as i32;
        lane.popped.add(i64::from(lost) as u64);
    }

    /// Opens the circle in which the list of a bin leads, if it does, behind its last block. The block where it closes.
    fn open_circle(&self, class: usize) -> Option<usize> {
        let head = self.bins[class].head.load(Relaxed);
        let after = |block: usize| {
            // SAFETY: asked of blocks of this bin only.
            (block != 0 && self.is_in_bin(class, block)).then(|| unsafe { next_of(block) })
        };
        // One goes twice as fast as the other, and meets it in the circle; what is as far from there as from the head is the entry.
        let (mut slow, mut fast) = (after(head)?, after(after(head)?)?);
        while slow != fast {
            (slow, fast) = (after(slow)?, after(after(fast)?)?);
        }
        after(slow)?;
        let mut entry = head;
        while entry != slow {
            (entry, slow) = (after(entry)?, after(slow)?);
        }
        let mut last = entry;
        while after(last)? != entry {
            last = after(last)?;
        }
        // SAFETY: a block of this bin.
        unsafe { set_next(last, 0) };
        Some(entry)
    }
}

impl Locked<'_> {
    /// Mends the list of a settled bin: opens a circle, takes out what should not be there, cuts off what is no block, counts anew; and
    /// mends the lists of spans that led into the bin. By the owner, or by who acts as the owner.
    #[cold]
    #[inline(never)]
    pub(super) fn mend(&self, class: usize) {
        let heap = self.heap;
        let bin = &heap.bins[class];
        if let Some(twice) = heap.open_circle(class) {
            let thread = heap.thread.load(Relaxed);
            self.noticed.note(twice, Wrong::FreedTwice(small(class), thread));
        }
        let set_behind = |before: usize, next: usize| match before {
            0 => bin.head.store(next, Relaxed),
            // SAFETY: a block of this bin.
            before => unsafe { set_next(before, next) },
        };
        let (mut before, mut block, mut length, mut astray) = (0, bin.head.load(Relaxed), 0, false);
        while block != 0 {
            if !heap.is_in_bin(class, block) {
                self.noticed.note(before, Wrong::Overwritten(small(class)));
                set_behind(before, 0);
                break;
            }
            // SAFETY: a block of this bin.
            let mut next = unsafe { next_of(block) };
            if let Some(wrong) = heap.wrong_in_bin(class, block) {
                if matches!(wrong, Wrong::FreedTwice(..)) {
                    // It was linked into the bin while its span had it; or the bin leads to what went back to its span meanwhile, whose
                    // link is the span's.
                    if span_of(block).is_some_and(|span| span.is_linked(block)) {
                        next = 0;
                    } else {
                        astray = true;
                    }
                }
                self.noticed.note(block, wrong);
                set_behind(before, next);
            } else {
                (before, length) = (block, length + 1);
            }
            block = next;
        }
        heap.count_lost(class, length);
        if astray {
            heap.lanes[class].partial.iter().filter(|span| !span.list_is_whole()).for_each(Span::relist);
        }
    }

    /// Names why `span` did not take a block back.
    #[cold]
    pub(super) fn refused(&self, span: &Span, block: usize, refusal: Refusal) {
        let place = small(span.class());
        let wrong = match refusal {
            Refusal::Inside(bytes) => Wrong::Inside(place, bytes),
            Refusal::NeverOut => Wrong::NeverHandedOut(place),
            Refusal::Back => Wrong::FreedTwice(place, 0),
        };
        self.noticed.note(block, wrong);
    }
}
