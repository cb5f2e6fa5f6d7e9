//! What a thread caches and does not use goes back, also while the thread is awake.
//!
//! Caches are last in, first out: a thread that freed much and allocates little from then on never reaches the bottom of its bins. The
//! blocks there can lie in a hundred spans, and keep all of these. So caches *age*: once after each pass of the decay the owner gives back
//! what it did not use since the pass before.
//!
//! ```text
//!   a class without an allocation or a free since then:   all of its bin, and its run
//!   another one:                                          the oldest   min(held then, held now) - pops since then   blocks of its bin
//! ```
//!
//! For example: the bin held 1000 blocks at the last aging, 10 were popped and 30 pushed since. At most 10 of the 1000 were touched, so
//! the 990 at the bottom go back.
//!
//! The owner ages its heap on slow paths. A thread whose calls all succeed on the fast paths comes to none; the scavenger clears its slot
//! (`scavenger::idle_threads`), so that its next call takes a slow path.
//!
//! # Safety
//! Bins are their owner's; lists run through free blocks.

use super::layout::{Heap, Locked};
use crate::backend::span::{next_of, set_next};
use crate::base::sizes::CLASSES;
use crate::reclaim::decay;
use core::sync::atomic::Ordering::Relaxed;

impl Heap {
    /// Ages the caches if a pass of the decay was made since the last time. By the owner.
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
            return self.empty_class(class);
        }
        let unused = lane.aged_held.get().min(lane.held.get()).saturating_sub(pops);
        if unused != 0 {
            self.put_back_oldest(class, unused);
        }
        lane.aged_held.set(lane.held.get());
        heap.grant(class);
    }

    /// Puts the oldest `count` blocks of a settled bin, which has at least as many, back into their spans.
    fn put_back_oldest(&self, class: usize, count: u32) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        let keep = lane.held.get() - count;
        if keep == 0 {
            return self.put_back(class, count);
        }
        // Off the bin, so that a signal handler takes none of them meanwhile. It may free to the bin.
        let first = bin.head.swap(0, Relaxed);
        let mut last = first;
        for _ in 1..keep {
            // SAFETY: a block of the bin.
            last = if last == 0 { 0 } else { unsafe { next_of(last) } };
        }
        if last == 0 {
            // A block was freed twice, and the list is shorter than it was counted.
            return bin.append(first);
        }
        // SAFETY: as above; the list of those that stay ends at `last`.
        let oldest = unsafe { next_of(last) };
        // SAFETY: as above.
        unsafe { set_next(last, 0) };
        lane.held.set(count);
        self.put_back_list(class, oldest, u32::MAX);
        lane.held.set(lane.held.get().wrapping_add(keep));
        bin.append(first);
    }
}
