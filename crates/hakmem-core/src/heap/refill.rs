//! Between bins and spans: filling an empty bin, emptying a full one, and passing empty spans on.
//!
//! # Safety
//! Blocks that go from a bin to a span are free; a span is touched under its heap's lock.

use super::bins::SETTLE_BYTES;
use super::cache_budget::MISS;
use super::counters::count_no_free;
use super::entry::{class_in, entry_for, is_small};
use super::layout::{Heap, Locked};
use super::remote::take_ahead;
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

/// How many spans are looked at for the fullest one.
const CANDIDATES: usize = 8;
/// Slow paths between two looks at the clock, and how many of them one for a big block stands for.
const TICKS: u32 = 32;
pub(super) const BIG: u32 = 8;

impl Heap {
    /// Gets a block of `class` when the bin has none, and the run neither or others gave something back: from what they freed,
    /// from the run, from a partly used span, from a new one. `None` when memory is out.
    #[cold]
    #[inline(never)]
    pub(super) fn refill(&self, class: usize) -> Option<(usize, bool)> {
        let lane = &self.lanes[class];
        self.tick(1);
        if lane.short.replace(false) && self.note_trouble(MISS) {
            self.flush_all();
        }
        self.settle(class);
        self.set_limit(class, self.blocks_out_unless_owned(class));
        // Nothing, unless a block was freed twice.
        self.count_lost(class, 0);
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

    /// Pops a block of the bin that was just filled.
    fn take_listed(&self, class: usize) -> Option<usize> {
        let (bin, lane) = (&self.bins[class], &self.lanes[class]);
        let block = bin.head.load(Relaxed);
        if block == 0 {
            return None;
        }
        // SAFETY: the first block of the list.
        bin.head.store(unsafe { next_of(block) }, Relaxed);
        lane.held.set(lane.held.get().wrapping_sub(1));
        lane.popped.add(1);
        self.grant(class);
        Some(block)
    }

    /// Takes the next block of a run that is not used up.
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
            self.make_up_for_growth();
        }
        run.bring_in();
        let span = run.span();
        span.start(run.base(), class, run.zero);
        for back in 0..slabs {
            run.segment.spans[run.first + back].set_back(back);
        }
        self.take_run(class, span);
        // From here on others find the span, who touch it under the lock only; this was done without. They find it as it is now:
        // this store pairs with the load in `page_map::entry`.
        page_map::set(run.base(), slabs, entry_for(self.anchor(), class));
        self.lanes[class].spans_taken.add(1);
        self.buy_spans(class);
        self.set_limit(class, self.blocks_out_unless_owned(class));
        true
    }

    fn take_run(&self, class: usize, span: &'static Span) {
        let lane = &self.lanes[class];
        let (bump, end, fresh) = span.take_run();
        lane.bump.set(bump);
        lane.end.set(end);
        lane.fresh.set(fresh);
    }

    /// Called when a bin has taken as many frees as it was granted: settles it, and makes room if it holds its limit, or empties
    /// it where the class has spans that it has not bought and nothing needs them any more.
    #[cold]
    #[inline(never)]
    pub(super) fn overflow(&self, class: usize) {
        let lane = &self.lanes[class];
        let frees = self.settle(class);
        self.look_at_bin(class, frees);
        if self.owns_spans(class) || self.buy_spans(class) {
            self.set_limit(class, None);
            self.flush_above_limit(class);
            return self.grant(class);
        }
        let out = self.blocks_out(class);
        if out == 0 {
            lane.short.set(true);
            return self.lock_as_owner().empty_class(class);
        }
        if lane.held.get() >= lane.limit.get() {
            self.set_limit(class, Some(out));
            lane.short.set(self.flush_above_limit(class));
        }
        self.grant_within(class, out);
        if self.note_trouble(1) {
            self.flush_all();
        }
    }

    /// Sets how many blocks the bin may hold: as many as policy lets it in spans that were bought. Others are kept by `out` blocks
    /// that are in use: twice as many as these.
    fn set_limit(&self, class: usize, out: Option<u32>) {
        let (lane, most) = (&self.lanes[class], most_held(class));
        let limit = out.map_or(most, |out| {
            let few = (SETTLE_BYTES / BLOCK_SIZE[class]).clamp(2, 64);
            (u32::from(lane.bought.get()) * SPAN_BLOCKS[class]).max(few).max(out.saturating_mul(2)).min(most)
        });
        lane.limit.set(limit);
    }

    /// Counts slow paths, by their length, and gives memory back when it is time.
    pub(super) fn tick(&self, length: u32) {
        let ticks = self.ticks.get() + length;
        self.ticks.set(ticks % TICKS);
        let is_full = ticks >= TICKS;
        if is_full {
            if self.keep_to_share() {
                self.flush_all();
            }
            wake_up::notify();
        }
        // Much falls idle in a moment, and big blocks are freed soon after it where a program turns to other work.
        if (is_full || length == BIG && decay::much_is_idle()) && decay::is_due() {
            demand::note(if is_full { demand::TIME } else { demand::IDLE });
        }
        if is_full {
            self.age_if_due();
        }
    }
}

/// Blocks of `class` that policy lets a bin hold.
fn most_held(class: usize) -> u32 {
    let policy = policy::current();
    let least = if policy.cache_bytes >= 2 * SMALL_MAX { 8 } else { 2 };
    (policy.cache_bytes / BLOCK_SIZE[class] as usize).max(least).min(policy.cache_blocks) as u32
}

impl Locked<'_> {
    /// Takes the free blocks, or the run, of the fullest of the first few partly used spans.
    fn take_from_span(&self, class: usize) {
        let lane = &self.heap.lanes[class];
        let running = lane.bump.get() != lane.end.get();
        let spans = lane.partial.iter().take(CANDIDATES).filter(|span| !running || span.free_blocks() != 0);
        let Some(span) = spans.min_by_key(|span| span.capacity() - span.carved_blocks() + span.back_blocks()) else {
            lane.flushed.set(false);
            return;
        };
        if span.free_blocks() != 0 {
            let limit = lane.limit.get();
            // All of a list is taken at once, where a part is followed to its end.
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

    /// As the owner, takes what others freed: into bins as far as they have room, else to the spans.
    fn drain(&self) {
        let mut block = self.take_inbox();
        while block != 0 {
            // SAFETY: the inbox holds free blocks of this heap.
            let next = unsafe { next_of(block) };
            let entry = page_map::entry(block);
            debug_assert!(is_small(entry));
            let class = class_in(entry);
            if class > 0 {
                // SAFETY: blocks above the first class have a second word.
                prefetch(unsafe { take_ahead(block) });
            }
            let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
            if bin.head.load(Relaxed) == block {
                count_no_free(class);
                let thread = self.heap.thread.load(Relaxed);
                let place = Place::Small(BLOCK_SIZE[class] as usize);
                self.noticed.note(block, Wrong::FreedTwice(place, thread));
            } else if lane.bought.get() != 0 && lane.held.get() < lane.limit.get() {
                // SAFETY: as above; the bin is the owner's, which this is.
                unsafe { set_next(block, bin.head.load(Relaxed)) };
                bin.head.store(block, Relaxed);
                lane.held.set(lane.held.get() + 1);
                lane.received.add(1);
            } else {
                lane.flushed.set(true);
                // SAFETY: a free block of this heap.
                if !unsafe { self.put_received(block, class) } {
                    return;
                }
            }
            block = next;
        }
    }
}
