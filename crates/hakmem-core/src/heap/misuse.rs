//! Misuse that slow paths find: in a pointer that the program passed, and in the list of a bin.
//!
//! The fast path of `free` only compares a block with the latest one of its bin, so a bin can hold a block twice, or a
//! pointer that is no block. Slow paths find such a block when the bin is settled or flushed, but the block may have
//! been handed out before:
//!
//! - Settling a bin checks its latest block and the beginning of its list. A new bin is settled after its first free,
//!   its third, its seventh and so on.
//! - A block that goes back to its span must begin where a block begins, must have been handed out, and must not be
//!   marked as returned.
//! - When the process ends normally, the bins of the thread that ends it are checked.
//!
//! A block that was pushed twice has one link for two places. The list is then a circle, and the blocks behind the
//! block's first place are out of reach. The circle is opened, and the lost blocks count as in use from then on. So the
//! equations of bins, lanes and spans hold again after the misuse was reported.
//!
//! # Safety
//! Lists are followed only through addresses that the page map calls blocks of the bin's own class and heap; by the
//! bin's owner, in a slow path.

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

/// A check follows this many links of the list, and one more for each [`FREES_PER_LINK`] frees since the last settling.
const LINKS_CHECKED: u32 = 8;
const FREES_PER_LINK: u32 = 64;
/// A bin is checked at each settling until it has taken this many frees.
const FIRST_FREES: u64 = 64;
/// Later a bin is checked once in this many frees; a power of two.
const FREES_BETWEEN_CHECKS: u64 = 512;
/// Blocks that are checked when the process ends, which takes a fraction of a millisecond.
const BLOCKS_CHECKED_AT_EXIT: u32 = 4096;
/// How many slabs back the page map is searched for the large block that contains a pointer: a gigabyte.
const SLABS_SEARCHED: usize = (1 << 30) / SLAB;

fn small(class: usize) -> Place {
    Place::Small(BLOCK_SIZE[class] as usize)
}

/// Reports a block that is freed while it is the latest block of this thread's bin. Called by the fast path of `free`.
#[cold]
#[inline(never)]
pub(super) extern "C" fn freed_twice_in_a_row(block: *mut u8) {
    let entry = page_map::entry(block as usize);
    let thread = Heap::at_anchor(anchor_in(entry)).thread.load(Relaxed);
    guard::report("free", block as usize, Wrong::FreedTwice(small(class_in(entry)), thread));
}

/// Reports a pointer that was passed to `function` and is no block in use.
#[cold]
#[inline(never)]
pub fn report_misuse(function: &str, pointer: *mut u8) {
    guard::report(function, pointer as usize, misuse_of(pointer as usize));
}

/// Returns the kind of misuse that passing `address`, which is no block in use, amounts to.
pub(super) fn misuse_of(address: usize) -> Wrong {
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

/// Returns the medium or large block in use that contains `address`, and the address where it begins.
fn block_around(address: usize) -> Option<(Place, usize)> {
    let slab = address & !(SLAB - 1);
    let starts = (0..SLABS_SEARCHED).map_while(|back| slab.checked_sub(back * SLAB));
    // Only the first slab of a large block has an entry; the slabs of a medium block are marked free except for the
    // first.
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

/// Whether the small block at `address` is known to be free: its span marks it as returned, or it is the latest block
/// of this thread's bin.
pub(super) fn is_free(address: usize) -> bool {
    let entry = page_map::entry(address);
    is_small(entry) && (is_latest(entry, address) || span_of(address).is_some_and(|span| span.is_returned(address)))
}

/// Returns the usable bytes of the block at `address`, whose page map entry is `entry`; `None` if no block of this
/// allocator begins there, or it is known to be free.
#[inline]
pub(super) fn live_size(entry: usize, address: usize) -> Option<usize> {
    if !is_small(entry) {
        return usable_size_of(entry, address);
    }
    let span = span_of(address)?;
    let may_be_live = !is_latest(entry, address) && span.may_be_in_use(address);
    may_be_live.then(|| span.block_size())
}

/// Whether the small block at `address`, whose page map entry is `entry`, is the latest block of one of this thread's
/// bins.
fn is_latest(entry: usize, address: usize) -> bool {
    let anchor = slot::heap();
    let distance = entry ^ anchor;
    // SAFETY: the distance is that of a bin, so the entry is that of blocks whose bin lies there in this thread's heap.
    distance >= BINS_BYTES.wrapping_neg() && unsafe { Bin::at(anchor, distance) }.head.load(Relaxed) == address
}

/// Checks the bins of the thread that ends the process, up to a bounded number of blocks.
pub fn check_bins_at_exit() {
    if slot::heap() == 0 {
        return;
    }
    let Some(heap) = Heap::for_slow_path() else { return };
    let mut left = BLOCKS_CHECKED_AT_EXIT;
    for class in (0..CLASSES).filter(|class| heap.bins[*class].head.load(Relaxed) != 0) {
        heap.settle(class);
        let steps = heap.lanes[class].held.get().min(left);
        if !heap.is_sound(class, steps, steps) {
            heap.lock_as_owner().mend(class);
        }
        heap.grant(class);
        left -= steps;
    }
}

impl Heap {
    /// Checks a bin that was settled after `frees` frees, if a check is due.
    #[inline]
    pub(super) fn check_bin_if_due(&self, class: usize, frees: u32) {
        let all = self.lanes[class].pushed.get();
        let before = all.wrapping_sub(u64::from(frees));
        if before < FIRST_FREES || before ^ all >= FREES_BETWEEN_CHECKS {
            self.check_bin(class, frees);
        }
    }

    #[cold]
    #[inline(never)]
    fn check_bin(&self, class: usize, frees: u32) {
        if !self.is_sound(class, 1, LINKS_CHECKED + frees / FREES_PER_LINK) {
            self.lock_as_owner().mend(class);
        }
    }

    /// Whether the first `steps` blocks of a settled bin form a sound list: each is a block of this bin, they form no
    /// circle, and the list is as long as its count. The first `checked` of them are also compared with the marks of
    /// their spans.
    pub(super) fn is_sound(&self, class: usize, checked: u32, steps: u32) -> bool {
        let held = self.lanes[class].held.get();
        let steps = steps.min(held);
        let (mut block, mut left) = (self.bins[class].head.load(Relaxed), steps);
        // Each block is compared with the block at the last power of two: this finds a circle within two turns.
        let (mut earlier, mut power, mut lap) = (0, 1_u32, 1_u32);
        let mut before = usize::MAX;
        while left != 0 {
            // A block in the same slab as the block before it belongs to the same bin.
            let is_right = (block ^ before < SLAB || self.is_in_bin(class, block)) && block != earlier;
            if !is_right || steps - left < checked && self.misuse_in_bin(class, block).is_some() {
                return false;
            }
            lap -= 1;
            if lap == 0 {
                power = power.wrapping_mul(2);
                (earlier, lap) = (block, power);
            }
            // SAFETY: this is a block of this bin.
            (before, block) = (block, unsafe { next_of(block) });
            left -= 1;
        }
        block == 0 || steps < held
    }

    /// Whether the page map says that `block` may be in this bin.
    fn is_in_bin(&self, class: usize, block: usize) -> bool {
        page_map::entry(block) == entry_for(self.anchor(), class)
    }

    /// Returns the misuse that put `block` into this bin, as far as the marks of its span show it; `None` if they show
    /// none.
    fn misuse_in_bin(&self, class: usize, block: usize) -> Option<Wrong> {
        let (lane, span) = (&self.lanes[class], span_of(block)?);
        let run = lane.bump.get()..lane.end.get();
        if span.may_be_in_use(block) && !run.contains(&block) {
            return None;
        }
        match span.index_of(block) {
            Err(Refusal::Inside(bytes)) => Some(Wrong::Inside(small(class), bytes)),
            _ if run.contains(&block) => Some(Wrong::NeverHandedOut(small(class))),
            _ if span.is_returned(block) => Some(Wrong::FreedTwice(small(class), 0)),
            _ => None,
        }
    }

    /// Corrects the count of a settled bin to `length` blocks. The difference counts as popped: some of these blocks
    /// are lost, as if they were in use, and others were not in use when they were freed.
    pub(super) fn correct_held(&self, class: usize, length: u32) {
        let lane = &self.lanes[class];
        let lost = lane.held.replace(length).wrapping_sub(length) as i32;
        lane.popped.add(i64::from(lost) as u64);
    }

    /// Opens the circle that the list of a bin ends in, if there is one, behind its last block. Returns the block where
    /// the circle closed.
    fn open_circle(&self, class: usize) -> Option<usize> {
        let head = self.bins[class].head.load(Relaxed);
        let after = |block: usize| {
            // SAFETY: the page map says that this is a block of this bin.
            (block != 0 && self.is_in_bin(class, block)).then(|| unsafe { next_of(block) })
        };
        // `fast` moves twice as fast as `slow` and meets it inside the circle. The entry of the circle is as far from
        // the meeting point as from the head of the list.
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
        // SAFETY: this is a block of this bin.
        unsafe { set_next(last, 0) };
        Some(entry)
    }
}

impl Locked<'_> {
    /// Mends the list of a settled bin: opens a circle, takes out blocks that should not be there, cuts off the list
    /// before a pointer that is no block, and counts again. Also mends the lists of spans that these blocks damaged.
    /// Called by the owner, or by the thread that acts as the owner.
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
            // SAFETY: this is a block of this bin.
            before => unsafe { set_next(before, next) },
        };
        let (mut before, mut block, mut length, mut list_is_damaged) = (0, bin.head.load(Relaxed), 0, false);
        while block != 0 {
            if !heap.is_in_bin(class, block) {
                self.noticed.note(before, Wrong::Overwritten(small(class)));
                set_behind(before, 0);
                break;
            }
            // SAFETY: this is a block of this bin.
            let mut next = unsafe { next_of(block) };
            if let Some(wrong) = heap.misuse_in_bin(class, block) {
                if matches!(wrong, Wrong::FreedTwice(..)) {
                    // Either the block was linked into the bin while it was on its span's list, which damaged that
                    // list. Or it went back to its span while the bin still led to it, and its link is part of the
                    // span's list.
                    if span_of(block).is_some_and(|span| span.link_is_intact(block)) {
                        next = 0;
                    } else {
                        list_is_damaged = true;
                    }
                }
                self.noticed.note(block, wrong);
                set_behind(before, next);
            } else {
                (before, length) = (block, length + 1);
            }
            block = next;
        }
        heap.correct_held(class, length);
        if list_is_damaged {
            heap.lanes[class].partial.iter().filter(|span| !span.list_is_intact()).for_each(Span::rebuild_list);
        }
    }

    /// Notes why `span` refused a block, to be reported after the lock is released.
    #[cold]
    pub(super) fn note_refusal(&self, span: &Span, block: usize, refusal: Refusal) {
        let place = small(span.class());
        let wrong = match refusal {
            Refusal::Inside(bytes) => Wrong::Inside(place, bytes),
            Refusal::NeverHandedOut => Wrong::NeverHandedOut(place),
            Refusal::AlreadyFree => Wrong::FreedTwice(place, 0),
        };
        self.noticed.note(block, wrong);
    }
}
