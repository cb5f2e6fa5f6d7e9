//! Aging: a thread flushes cached blocks that it does not use, even while it keeps running.
//!
//! Caches are last in, first out: a thread that has freed much and then allocates little never reaches the bottom of
//! its bins. The blocks at the bottom can lie in a hundred spans, and keep all of these in use. So caches *age*: once
//! after each decay pass the owner flushes the blocks that it did not use since the pass before.
//!
//! ```text
//!   class                                                flushed
//!   no allocation and no free since the last aging       the whole bin, and the run
//!   any other                                            the oldest  min(held then, held now) - pops since then  blocks of the bin
//! ```
//!
//! For example: the bin held 1000 blocks at the last aging; since then 10 were popped and 30 pushed. At most 10 of the
//! 1000 were used, so the 990 at the bottom go back to their spans.
//!
//! The owner ages its heap on slow paths. A thread whose calls all succeed on the fast paths takes no slow path. The
//! scavenger clears the slot of such a thread (`scavenger::idle_threads`), so that its next call takes a slow path.
//!
//! # Safety
//! Only the owner touches bins; their lists run through free blocks.

use super::layout::{Heap, Locked};
use crate::backend::span::{next_of, set_next};
use crate::base::sizes::CLASSES;
use crate::reclaim::decay;
use core::sync::atomic::Ordering::Relaxed;

impl Heap {
    /// Ages the caches if there was a decay pass since the last aging. Called by the owner.
    pub(super) fn age_if_due(&self) {
        let pass = decay::last_pass() as u32;
        if self.aged.replace(pass) != pass {
            self.age();
        }
    }

    #[cold]
    #[inline(never)]
    fn age(&self) {
        self.send_all();
        self.age_medium_cache();
        let locked = self.lock_as_owner();
        locked.drain_to_spans();
        let has_spans = |class: &usize| self.spans_held(*class) != 0 || self.lanes[*class].bought.get() != 0;
        (0..CLASSES).filter(has_spans).for_each(|class| locked.age_class(class));
    }
}

impl Locked<'_> {
    fn age_class(&self, class: usize) {
        let heap = self.heap;
        let lane = &heap.lanes[class];
        heap.settle(class);
        let (popped, pushed) = (lane.popped.get() as u32, lane.pushed.get() as u32);
        let pops = popped.wrapping_sub(lane.aged_popped.replace(popped));
        let others = pushed.wrapping_add(lane.bumped.get() as u32);
        let is_idle = lane.aged_others.replace(others) == others && pops == 0;
        if is_idle {
            heap.sell(class);
            self.empty_class(class);
        } else {
            let unused = || lane.aged_held.get().min(lane.held.get()).saturating_sub(pops);
            // A list that a double free closed to a circle cannot be cut: its parts would have blocks in common.
            if unused() != 0 && !heap.is_sound(class, 0, lane.held.get()) {
                self.mend(class);
            }
            if unused() != 0 {
                self.put_back_oldest(class, unused());
            }
            heap.grant(class);
        }
        lane.aged_held.set(lane.held.get());
    }

    /// Puts the oldest `count` blocks of a settled bin back into their spans. The bin holds at least `count` blocks.
    fn put_back_oldest(&self, class: usize, count: u32) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        let keep = lane.held.get() - count;
        if keep == 0 {
            return self.put_back(class, count);
        }
        // The list is taken off the bin, so that a signal handler cannot allocate from it meanwhile. A handler may free
        // to the bin.
        let first = bin.head.swap(0, Relaxed);
        let mut last = first;
        for _ in 1..keep {
            // SAFETY: this is a block of the bin.
            last = if last == 0 { 0 } else { unsafe { next_of(last) } };
        }
        if last == 0 {
            // A signal handler has allocated from the list since it was counted.
            return bin.append(first);
        }
        // SAFETY: as above. The part of the list that stays ends at `last`.
        let oldest = unsafe { next_of(last) };
        // SAFETY: as above.
        unsafe { set_next(last, 0) };
        lane.held.set(count);
        self.put_back_list(class, oldest, u32::MAX);
        lane.held.set(lane.held.get().wrapping_add(keep));
        bin.append(first);
    }
}
