//! Settling and granting: moves the counts of the fast paths from a bin to its lane, and sets how many frees may follow
//! until the next settling. `layout::Lane` has the equations.
//!
//! # Safety
//! Lists of bins run through free blocks, which only the owner touches.

use super::layout::{Bin, Heap};
use crate::backend::span::{next_of, set_next};
use crate::base::sizes::{BLOCK_SIZE, CLASSES};
use core::sync::atomic::Ordering::Relaxed;

/// At least this many bytes are freed between two settlings, within bounds on the number of blocks.
pub(super) const SETTLE_BYTES: u32 = 16 << 10;
/// Frees that a bin is granted in a signal handler that interrupted a slow path.
const FREES_IN_HANDLER: u32 = 64;

impl Bin {
    /// Returns the bin at `distance` from an anchor.
    ///
    /// # Safety
    /// `anchor` is the anchor of a heap, and one of its bins lies at that distance.
    #[inline(always)]
    pub(super) unsafe fn at(anchor: usize, distance: usize) -> &'static Bin {
        // SAFETY: guaranteed by the caller.
        unsafe { &*(anchor.wrapping_add(distance) as *const Bin) }
    }

    /// Takes the first block; 0 if the bin is empty. Called by the owner.
    #[inline(always)]
    pub(super) fn pop(&self) -> usize {
        let block = self.head.load(Relaxed);
        if block != 0 {
            // SAFETY: this is the first block of the list.
            self.head.store(unsafe { next_of(block) }, Relaxed);
            self.pops.store(self.pops.load(Relaxed).wrapping_add(1), Relaxed);
        }
        block
    }

    /// Appends a list to the blocks that a signal handler freed meanwhile, usually none. Called by the owner.
    pub(super) fn append(&self, list: usize) {
        let mut last = self.head.load(Relaxed);
        if last == 0 {
            return self.head.store(list, Relaxed);
        }
        // SAFETY: these are blocks of the list, which are free.
        unsafe {
            while next_of(last) != 0 {
                last = next_of(last);
            }
            set_next(last, list);
        }
    }
}

impl Heap {
    /// Iterates over the blocks of a bin, which must not change meanwhile.
    pub(crate) fn bin_blocks(&self, class: usize) -> impl Iterator<Item = usize> {
        let mut at = self.bins[class].head.load(Relaxed);
        core::iter::from_fn(move || {
            let block = at;
            // SAFETY: the blocks of the list are free blocks of this heap.
            at = if block == 0 { 0 } else { unsafe { next_of(block) } };
            (block != 0).then_some(block)
        })
    }

    /// Settles the bin: moves the pushes and pops of the fast paths into the lane. Returns the number of pushes.
    pub(super) fn settle(&self, class: usize) -> u32 {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        let pops = bin.pops.load(Relaxed);
        bin.pops.store(0, Relaxed);
        let room = bin.frees_left.load(Relaxed);
        let pushes = lane.granted.replace(room).wrapping_sub(room);
        lane.popped.add(u64::from(pops));
        lane.pushed.add(u64::from(pushes));
        lane.held.set(lane.held.get().wrapping_add(pushes).wrapping_sub(pops));
        pushes
    }

    /// Grants frees: sets how many may follow until the bin is settled again.
    pub(super) fn grant(&self, class: usize) {
        self.grant_within(class, self.blocks_in_use_unless_bought(class).unwrap_or(u32::MAX));
    }

    /// Grants at most `most` frees. The caller passes the number of blocks in use: once the last of them comes back,
    /// nothing needs the spans that are not bought.
    pub(super) fn grant_within(&self, class: usize, most: u32) {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        // Settling costs a mispredicted jump and some thirty instructions. The minimum spreads this cost over several
        // frees; in return the list may exceed its limit by that minimum.
        let least = (SETTLE_BYTES / BLOCK_SIZE[class]).clamp(8, 64);
        let room = lane.limit.get().saturating_sub(lane.held.get()).max(least).min(most).max(1);
        // A new bin is settled after each doubling of its frees, because its latest block is checked then.
        let room = room.min(u32::try_from(lane.pushed.get()).unwrap_or(u32::MAX).saturating_add(1));
        lane.granted.set(room);
        bin.frees_left.store(room, Relaxed);
    }

    /// Grants some more frees without settling, in a signal handler that interrupted a slow path.
    pub(super) fn grant_more(&self, class: usize) {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        lane.granted.set(lane.granted.get().wrapping_add(FREES_IN_HANDLER));
        bin.frees_left.store(bin.frees_left.load(Relaxed).wrapping_add(FREES_IN_HANDLER), Relaxed);
    }

    /// Counts the blocks in all bins again, if the heap's owner vanished in a fork.
    pub(crate) fn settle_orphan(&self) {
        if self.orphan.swap(false, Relaxed) {
            (0..CLASSES).for_each(|class| self.recount(class));
        }
    }

    fn recount(&self, class: usize) {
        let lane = &self.lanes[class];
        self.settle(class);
        let (counted, length) = (lane.held.get(), self.bin_blocks(class).count() as u32);
        // The owner may have taken a block without counting the pop, or put one without counting the push.
        lane.popped.add(u64::from(counted.saturating_sub(length)));
        lane.pushed.add(u64::from(length.saturating_sub(counted)));
        lane.held.set(length);
        self.grant(class);
    }
}
