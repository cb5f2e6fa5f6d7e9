//! The books of bins: what the fast paths did is brought from the bin into the lane, and how much they may do until the next time.
//!
//! # Safety
//! Lists of bins run through free blocks, which only the owner touches.

use super::layout::{Bin, Heap};
use crate::backend::span::{next_of, set_next};
use crate::base::sizes::{BLOCK_SIZE, CLASSES};
use core::sync::atomic::Ordering::Relaxed;

/// A bin is settled after this many bytes of frees at the earliest.
pub(super) const SETTLE_BYTES: u32 = 16 << 10;
/// What a signal handler that interrupted a slow path may free to a bin before the bin is looked at again.
const FREES_IN_HANDLER: u32 = 64;

impl Bin {
    /// The bin at `distance` from an anchor.
    ///
    /// # Safety
    /// There is one.
    #[inline(always)]
    pub(super) unsafe fn at(anchor: usize, distance: usize) -> &'static Bin {
        // SAFETY: the caller's.
        unsafe { &*(anchor.wrapping_add(distance) as *const Bin) }
    }

    /// Takes the first block; 0 if there is none. By the owner.
    #[inline(always)]
    pub(super) fn pop(&self) -> usize {
        let block = self.head.load(Relaxed);
        if block != 0 {
            // SAFETY: the first block of the list.
            self.head.store(unsafe { next_of(block) }, Relaxed);
            self.pops.store(self.pops.load(Relaxed).wrapping_add(1), Relaxed);
        }
        block
    }

    /// Puts a list behind what a signal handler freed meanwhile, most often nothing. By the owner.
    pub(super) fn append(&self, list: usize) {
        let mut last = self.head.load(Relaxed);
        if last == 0 {
            return self.head.store(list, Relaxed);
        }
        // SAFETY: blocks of the list, which are free.
        unsafe {
            while next_of(last) != 0 {
                last = next_of(last);
            }
            set_next(last, list);
        }
    }
}

impl Heap {
    /// The blocks on the list of a bin, which nobody changes meanwhile.
    pub(crate) fn bin_blocks(&self, class: usize) -> impl Iterator<Item = usize> {
        let mut at = self.bins[class].head.load(Relaxed);
        core::iter::from_fn(move || {
            let block = at;
            // SAFETY: blocks on the list are free blocks of ours.
            at = if block == 0 { 0 } else { unsafe { next_of(block) } };
            (block != 0).then_some(block)
        })
    }

    /// Brings `held` up to date with what the fast paths did. How many frees these were.
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

    /// Sets how many frees may come before the list is settled again.
    pub(super) fn grant(&self, class: usize) {
        self.grant_within(class, self.blocks_out_unless_owned(class).unwrap_or(u32::MAX));
    }

    /// The same where the bin must be settled after `most` frees: the last of the blocks that are out may be the last that needs
    /// spans that are not bought.
    pub(super) fn grant_within(&self, class: usize, most: u32) {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        // Settling costs a jump that was not foreseen and some thirty instructions: this spreads them, at the price of a
        // list that may be longer than its limit by as much.
        let least = (SETTLE_BYTES / BLOCK_SIZE[class]).clamp(8, 64);
        let room = lane.limit.get().saturating_sub(lane.held.get()).max(least).min(most).max(1);
        // A new bin is settled after each doubling of its frees: that is when the latest block is looked at.
        let room = room.min(u32::try_from(lane.pushed.get()).unwrap_or(u32::MAX).saturating_add(1));
        lane.granted.set(room);
        bin.frees_left.store(room, Relaxed);
    }

    /// Lets some more frees come before the list is settled, in a signal handler that found a slow path under way.
    pub(super) fn grant_more(&self, class: usize) {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        lane.granted.set(lane.granted.get().wrapping_add(FREES_IN_HANDLER));
        bin.frees_left.store(bin.frees_left.load(Relaxed).wrapping_add(FREES_IN_HANDLER), Relaxed);
    }

    /// Counts the bins of a heap anew whose owner was gone at any moment.
    pub(crate) fn settle_orphan(&self) {
        if self.orphan.swap(false, Relaxed) {
            (0..CLASSES).for_each(|class| self.count_anew(class));
        }
    }

    fn count_anew(&self, class: usize) {
        let lane = &self.lanes[class];
        self.settle(class);
        let (counted, length) = (lane.held.get(), self.bin_blocks(class).count() as u32);
        // A block that was taken off was not counted yet as popped, or one that was put on as pushed.
        lane.popped.add(u64::from(counted.saturating_sub(length)));
        lane.pushed.add(u64::from(length.saturating_sub(counted)));
        lane.held.set(length);
        self.grant(class);
    }
}
