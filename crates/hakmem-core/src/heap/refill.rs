//! Slow paths of bins: fills an empty bin from the inbox, the run, a listed span or a new span; and settles a bin that
//! has taken its granted frees.
//!
//! # Safety
//! Blocks that go from a bin to a span are free; a span is touched under its heap's lock.

use super::bins::SETTLE_BYTES;
use super::cache_budget::MISS_COST;
use super::counters::uncount_stray_free;
use super::entry::{class_in, entry_for, is_small};
use super::layout::{Heap, Locked};
use super::remote::prefetch_hint;
use crate::backend::availability;
use crate::backend::slabs;
use crate::backend::span::{Span, next_of, set_next};
use crate::base::demand;
use crate::base::guard::{Place, Wrong};
use crate::base::sizes::{BLOCK_SIZE, SMALL_MAX, SPAN_BLOCKS, SPAN_SLABS};
use crate::base::wake_up;
use crate::map::page_map;
use crate::policy;
use crate::reclaim::decay;
use core::sync::atomic::Ordering::Relaxed;
use hakmem_os::cpu::prefetch;

/// Number of listed spans among which the fullest is chosen.
const CANDIDATES: usize = 8;
/// The clock is read once in this many slow paths. A slow path for a medium or large block counts as [`TICKS_FOR_BIG`]
/// of them.
const TICKS: u32 = 32;
pub(super) const TICKS_FOR_BIG: u32 = 8;

impl Heap {
    /// Allocates a block of `class` when the bin is empty, and the run is used up or freed blocks are available: from
    /// the inbox, from a partly used span, from the run, or from a new span. The flag says whether the block is zero.
    /// `None` when memory is out.
    #[cold]
    #[inline(never)]
    pub(super) fn refill(&self, class: usize) -> Option<(usize, bool)> {
        let lane = &self.lanes[class];
        self.tick(1);
        if lane.flushed_unbought.replace(false) && self.note_miss_cost(MISS_COST) {
            self.flush_all();
        }
        self.settle(class);
        self.set_limit(class, self.blocks_in_use_unless_bought(class));
        // The bin is empty, so `held` is 0 already, unless a block was freed twice.
        self.correct_held(class, 0);
        lane.refills.add(1);
        self.send_all();
        {
            let locked = self.lock_as_owner();
            locked.drain();
            if self.bins[class].head.load(Relaxed) == 0 && (lane.bump.get() == lane.end.get() || lane.flushed.get()) {
                locked.take_from_span(class);
            }
        }
        if let Some(block) = self.take_listed(class) {
            return Some((block, false));
        }
        if lane.bump.get() == lane.end.get() && !self.take_new_span(class) {
            self.grant(class);
            return None;
        }
        self.grant(class);
        Some(self.carve(class))
    }

    /// Pops a block from the bin, if the refill put some there.
    fn take_listed(&self, class: usize) -> Option<usize> {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        let block = bin.head.load(Relaxed);
        if block == 0 {
            return None;
        }
        // SAFETY: this is the first block of the list.
        bin.head.store(unsafe { next_of(block) }, Relaxed);
        lane.held.set(lane.held.get().wrapping_sub(1));
        lane.popped.add(1);
        self.grant(class);
        Some(block)
    }

    /// Takes the next block of the run, which is not used up. The flag says whether the block is zero.
    pub(super) fn carve(&self, class: usize) -> (usize, bool) {
        let lane = &self.lanes[class];
        let block = lane.bump.get();
        lane.bump.set(block + BLOCK_SIZE[class] as usize);
        lane.bumped.add(1);
        (block, lane.fresh.get())
    }

    fn take_new_span(&self, class: usize) -> bool {
        let slabs = SPAN_SLABS[class] as usize;
        let mapped = availability::mapped();
        let Some(run) = slabs::claim(slabs) else { return false };
        if availability::mapped() > mapped {
            self.open_holes_for_growth();
        }
        run.prefault();
        let span = run.span();
        span.start(run.base(), class, run.zero);
        for back in 0..slabs {
            run.segment.spans[run.first + back].set_slabs_before(back);
        }
        self.take_run(class, span);
        // From here on other threads can find the span, and touch it only under the lock; the owner set it up without
        // the lock. This store pairs with the load in `page_map::entry`, so the other threads see the span as it is
        // now.
        page_map::set(run.base(), slabs, entry_for(self.anchor(), class));
        self.lanes[class].spans_taken.add(1);
        self.buy_spans(class);
        self.set_limit(class, self.blocks_in_use_unless_bought(class));
        true
    }

    fn take_run(&self, class: usize, span: &'static Span) {
        let lane = &self.lanes[class];
        let (bump, end, fresh) = span.take_run();
        lane.bump.set(bump);
        lane.end.set(end);
        lane.fresh.set(fresh);
    }

    /// Settles a bin that has taken as many frees as it was granted. Makes room if the bin has reached its limit, and
    /// empties it if the class has spans that are not bought and the program uses no block of the class.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_and_make_room(&self, class: usize) {
        let lane = &self.lanes[class];
        let frees = self.settle(class);
        self.check_bin_if_due(class, frees);
        if self.has_bought_all_spans(class) || self.buy_spans(class) {
            self.set_limit(class, None);
            self.flush_above_limit(class);
            return self.grant(class);
        }
        let in_use = self.blocks_in_use(class);
        if in_use == 0 {
            lane.flushed_unbought.set(true);
            return self.lock_as_owner().empty_class(class);
        }
        if lane.held.get() >= lane.limit.get() {
            self.set_limit(class, Some(in_use));
            lane.flushed_unbought.set(self.flush_above_limit(class));
        }
        self.grant_within(class, in_use);
        if self.note_miss_cost(1) {
            self.flush_all();
        }
    }

    /// Sets how many blocks the bin may hold. With `in_use` `None`, all spans are bought and the limit is policy's.
    /// Otherwise `in_use` blocks keep the other spans in use, and the limit is twice that number, or the blocks of the
    /// bought spans if these are more.
    fn set_limit(&self, class: usize, in_use: Option<u32>) {
        let (lane, most) = (&self.lanes[class], policy_limit(class));
        let limit = in_use.map_or(most, |in_use| {
            let few = (SETTLE_BYTES / BLOCK_SIZE[class]).clamp(2, 64);
            (u32::from(lane.bought.get()) * SPAN_BLOCKS[class]).max(few).max(in_use.saturating_mul(2)).min(most)
        });
        lane.limit.set(limit);
    }

    /// Counts a slow path as `length` slow paths, and notes a demand when it is time to release memory.
    pub(super) fn tick(&self, length: u32) {
        let ticks = self.ticks.get() + length;
        self.ticks.set(ticks % TICKS);
        let is_full = ticks >= TICKS;
        if is_full {
            if self.limit_to_share() {
                self.flush_all();
            }
            wake_up::notify();
        }
        // When a program turns to other work, much memory becomes free at once, and soon after it frees medium or large
        // blocks.
        if (is_full || length == TICKS_FOR_BIG && decay::has_excess()) && decay::is_due() {
            demand::note(if is_full { demand::TIME } else { demand::EXCESS });
        }
        if is_full {
            self.age_if_due();
        }
    }
}

/// Returns the number of blocks of `class` that policy lets a bin hold.
fn policy_limit(class: usize) -> u32 {
    let policy = policy::current();
    let least = if policy.cache_bytes >= 2 * SMALL_MAX { 8 } else { 2 };
    (policy.cache_bytes / BLOCK_SIZE[class] as usize).max(least).min(policy.cache_blocks) as u32
}

impl Locked<'_> {
    /// Takes the free blocks, the run or a hole of the fullest of the first few listed spans.
    fn take_from_span(&self, class: usize) {
        let lane = &self.heap.lanes[class];
        let running = lane.bump.get() != lane.end.get();
        let spans = lane.partial.iter().take(CANDIDATES).filter(|span| !running || span.free_blocks() != 0);
        let Some(span) = spans.min_by_key(|span| span.capacity() - span.carved_blocks() + span.returned_blocks())
        else {
            lane.flushed.set(false);
            return;
        };
        if span.free_blocks() != 0 {
            let limit = lane.limit.get();
            // Taking a whole list costs nothing more, but taking a part follows its links.
            let chain = span.take_list(if span.free_blocks() <= limit { limit } else { (limit / 2).max(1) });
            self.heap.bins[class].head.store(chain.first, Relaxed);
            lane.held.set(chain.count);
            lane.spare.sub(u64::from(chain.count));
        } else if span.carved_blocks() != span.capacity() {
            lane.spare.sub(u64::from(span.capacity() - span.carved_blocks()));
            self.heap.take_run(class, span);
        } else {
            self.fill_hole(class, span);
        }
        if !span.has_room() {
            lane.partial.remove(span);
        }
    }

    /// Drains the inbox into the bins, as far as they have room, and otherwise into the spans. Called by the owner.
    fn drain(&self) {
        let mut block = self.take_inbox();
        while block != 0 {
            // SAFETY: the blocks of the inbox are free blocks of this heap.
            let next = unsafe { next_of(block) };
            let entry = page_map::entry(block);
            debug_assert!(is_small(entry));
            let class = class_in(entry);
            if class > 0 {
                // SAFETY: blocks above the first class have a second word.
                prefetch(unsafe { prefetch_hint(block) });
            }
            let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
            if bin.head.load(Relaxed) == block {
                uncount_stray_free(class);
                let thread = self.heap.thread.load(Relaxed);
                let place = Place::Small(BLOCK_SIZE[class] as usize);
                self.noticed.note(block, Wrong::FreedTwice(place, thread));
            } else if lane.bought.get() != 0 && lane.held.get() < lane.limit.get() {
                // SAFETY: as above; the bin belongs to this thread, which is the owner.
                unsafe { set_next(block, bin.head.load(Relaxed)) };
                bin.head.store(block, Relaxed);
                lane.held.set(lane.held.get() + 1);
                lane.received.add(1);
            } else {
                lane.flushed.set(true);
                // SAFETY: as above.
                if !unsafe { self.put_received(block, class) } {
                    return;
                }
            }
            block = next;
        }
    }
}
