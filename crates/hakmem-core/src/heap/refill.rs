//! Between bins and spans: filling an empty bin, emptying a full one, and passing empty spans on.
//!
//! # Safety
//! Blocks that go from a bin to a span are free; a span is touched under its heap's lock.

use super::adopt::count_no_free;
use super::allowance::{CAPACITY, MISS};
use super::remote::take_ahead;
use super::{Bin, Heap, Inside, SETTLE_BYTES, class_in, entry_for, is_small};
use crate::bell;
use crate::decay;
use crate::guard::{Place, Wrong};
use crate::pagemap;
use crate::policy;
use crate::room;
use crate::segment::{self, Run};
use crate::sizes::{BLOCK_SIZE, CLASSES, SLAB, SLABS, SMALL_MAX, SPAN_SLABS};
use crate::space;
use crate::span::{Refusal, Span, index_in, next_of, set_next};
use crate::turn;
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
            let inside = self.enter();
            inside.drain();
            if self.bins[class].head.load(Relaxed) == 0 && (lane.bump.get() == lane.end.get() || lane.flushed.get()) {
                inside.take_from_span(class);
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

    fn take_new_span(&self, class: usize) -> bool {
        let slabs = SPAN_SLABS[class] as usize;
        let mapped = room::mapped();
        let Some(run) = space::claim(slabs) else { return false };
        if room::mapped() > mapped {
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
        // this store pairs with the load in `pagemap::entry`.
        pagemap::set(run.base(), slabs, entry_for(self.anchor(), class));
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
            return self.enter().empty_class(class);
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

    /// Makes room in a settled bin if it holds its limit; whether it did.
    fn flush_above_limit(&self, class: usize) -> bool {
        let lane = &self.lanes[class];
        let full = lane.held.get() >= lane.limit.get();
        if full {
            lane.flushed.set(true);
            self.flush(class, (lane.held.get() - lane.limit.get() + lane.limit.get() / 4).max(1));
        }
        full
    }

    /// Sets how many blocks the bin may hold: as many as policy lets it in spans that were bought. Others are kept by `out` blocks
    /// that are in use: twice as many as these.
    fn set_limit(&self, class: usize, out: Option<u32>) {
        let (lane, most) = (&self.lanes[class], most_held(class));
        let limit = out.map_or(most, |out| {
            let few = (SETTLE_BYTES / BLOCK_SIZE[class]).clamp(2, 64);
            (u32::from(lane.bought.get()) * CAPACITY[class]).max(few).max(out.saturating_mul(2)).min(most)
        });
        lane.limit.set(limit);
    }

    /// Gives the latest `count` blocks of a settled bin back to their spans: those that are in the cache, where the oldest would
    /// be a miss each.
    fn flush(&self, class: usize, count: u32) {
        self.enter().put_back(class, count);
    }

    /// Gives everything this heap has at hand back to the spans, and empty spans to their segments. By its owner.
    pub(super) fn flush_all(&self) {
        self.send_all();
        self.enter().empty();
    }

    /// Serves a heap whose owner may be asleep: what others freed goes back to its spans.
    pub(super) fn serve(&self) {
        if self.inbox.load(Relaxed) != 0
            && let Some(inside) = self.visit()
        {
            inside.drain_to_spans();
        }
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
            bell::ring();
        }
        // Much falls idle in a moment, and big blocks end soon after it where a program turns to other work.
        if (is_full || length == BIG && decay::much_is_idle())
            && decay::is_due()
            && let Some(_turn) = turn::take()
        {
            decay::see_to_it();
        }
        if is_full {
            self.tidy_shelf();
        }
    }
}

/// Blocks of `class` that policy lets a bin hold.
fn most_held(class: usize) -> u32 {
    let policy = policy::current();
    let least = if policy.cache_bytes >= 2 * SMALL_MAX { 8 } else { 2 };
    (policy.cache_bytes / BLOCK_SIZE[class] as usize).max(least).min(policy.cache_blocks) as u32
}

/// The span that a block of ours lies in, or a run that is not used up.
pub(super) fn span_of(block: usize) -> Option<&'static Span> {
    let segment = segment::containing(block)?;
    let slab = block / SLAB % SLABS;
    Some(&segment.spans[slab - segment.spans[slab].back()])
}

/// Whether `address`, which lies in a span of `class`, is where a block begins.
#[inline]
pub(super) fn is_border(class: usize, address: usize) -> bool {
    let index = if SPAN_SLABS[class] == 1 {
        index_in(class, address % SLAB).ok()
    } else {
        span_of(address).and_then(|span| span.index_of(address).ok())
    };
    index.is_some_and(|index| index < CAPACITY[class] as usize)
}

/// Says in the page map that an empty span is no more.
pub(super) fn mark_freed(span: &'static Span) {
    pagemap::set(span.base(), span.slabs(), pagemap::FREED);
}

/// Releases the slabs of an empty span that was marked.
pub(super) fn release(span: &'static Span) {
    let base = span.base();
    if let Some(segment) = segment::containing(base) {
        Run { segment, first: base / SLAB % SLABS, slabs: span.slabs(), zero: false, resident: true }.release_marked();
    }
}

impl Bin {
    /// Puts a list behind what a signal handler freed meanwhile, most often nothing. By the owner.
    fn append(&self, list: usize) {
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

impl Inside<'_> {
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
            self.fill_gap(class, span);
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
            let entry = pagemap::entry(block);
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

    /// Puts what others freed into the spans.
    fn drain_to_spans(&self) {
        let mut block = self.take_inbox();
        while block != 0 {
            // SAFETY: the inbox holds free blocks of this heap.
            let next = unsafe { next_of(block) };
            let class = class_in(pagemap::entry(block));
            if class > 0 {
                // SAFETY: as above; blocks above the first class have a second word.
                prefetch(unsafe { take_ahead(block) });
            }
            // SAFETY: as above.
            if !unsafe { self.put_received(block, class) } {
                return;
            }
            block = next;
        }
    }

    /// Puts blocks of a settled bin back into their spans, latest first, `most` at most. By the owner, or by who acts as the owner.
    fn put_back(&self, class: usize, most: u32) {
        let (bin, lane) = (&self.heap.bins[class], &self.heap.lanes[class]);
        let (mut block, mut taken, mut put, mut astray) = (bin.head.swap(0, Relaxed), 0_u32, 0_u32, false);
        let entry = entry_for(self.heap.anchor(), class);
        while block != 0 && taken < most {
            // Where a span was retired since, the block was freed twice.
            let span = span_of(block).filter(|_| pagemap::entry(block) == entry);
            let Some(span) = span else {
                self.noticed.note_none(block);
                block = 0;
                break;
            };
            // What was freed together often lies together: the span is looked up, and looked at, once for what shares it.
            // SAFETY: blocks of the bin, which are free; a block in a slab of a span is the span's.
            let (count, next) = unsafe { span.put_first_of(block, most - taken, lane.bump.get()) };
            if count != 0 {
                lane.spare.add(u64::from(count));
                self.list_or_retire(span);
                (block, taken, put) = (next, taken + count, put + count);
                continue;
            }
            // SAFETY: as above.
            let next = unsafe { next_of(block) };
            taken += 1;
            // SAFETY: as above.
            block = match unsafe { self.put_closely(span, block) } {
                Ok(()) => {
                    put += 1;
                    next
                }
                Err(refusal) => {
                    // Either it was linked into the bin while the span had it, and the span's list leads astray; or the bin led in a
                    // circle, and the block's link is the span's now.
                    astray |= refusal == Refusal::Back;
                    if refusal == Refusal::Back && span.is_linked(block) { 0 } else { next }
                }
            };
        }
        lane.held.set(lane.held.get().wrapping_sub(put));
        if block == 0 {
            self.heap.count_lost(class, 0);
        } else {
            self.heap.count_lost(class, lane.held.get().wrapping_sub(taken - put));
            bin.append(block);
        }
        if astray {
            self.mend(class);
        }
    }

    /// Puts a block of `class` that came in back into its span. False where what came in leads on no further.
    ///
    /// # Safety
    /// A free block of this heap.
    unsafe fn put_received(&self, block: usize, class: usize) -> bool {
        // SAFETY: the caller's.
        match unsafe { self.put(block) } {
            Ok(()) => {
                self.heap.lanes[class].received.add(1);
                true
            }
            Err(leads_on) => {
                count_no_free(class);
                leads_on
            }
        }
    }

    /// Puts a block back into its span. Where the span refuses it, that is named, and the answer says whether the link in the block,
    /// read before, still leads on.
    ///
    /// # Safety
    /// A free block of this heap.
    #[inline]
    pub(super) unsafe fn put(&self, block: usize) -> Result<(), bool> {
        let Some(span) = span_of(block) else { return Ok(()) };
        let lane = &self.heap.lanes[span.class()];
        // SAFETY: a free block of this span, a list of one.
        if unsafe { span.put_first_of(block, 1, lane.bump.get()) }.0 != 0 {
            lane.spare.add(1);
            self.list_or_retire(span);
        // SAFETY: as above.
        } else if let Err(refusal) = unsafe { self.put_closely(span, block) } {
            let leads_on = refusal != Refusal::Back || !span.is_linked(block);
            if !span.list_is_whole() {
                span.relist();
            }
            return Err(leads_on);
        }
        Ok(())
    }

    /// Puts a block back into its span that is not plainly right to put there. Where it is refused, that is named.
    ///
    /// # Safety
    /// A block of this span, which is free if it is not refused.
    #[cold]
    #[inline(never)]
    unsafe fn put_closely(&self, span: &'static Span, block: usize) -> Result<(), Refusal> {
        let lane = &self.heap.lanes[span.class()];
        // SAFETY: the caller's.
        match unsafe { span.put_closely(block, &(lane.bump.get()..lane.end.get())) } {
            Ok(()) => {
                lane.spare.add(1);
                self.list_or_retire(span);
                Ok(())
            }
            Err(refusal) => {
                self.refused(span, block, refusal);
                Err(refusal)
            }
        }
    }

    /// Lists a span that got something back, or retires it if it is empty.
    #[inline]
    pub(super) fn list_or_retire(&self, span: &'static Span) {
        let lane = &self.heap.lanes[span.class()];
        if span.is_empty() {
            lane.partial.remove(span);
            lane.spans_retired.add(1);
            lane.spare.sub(u64::from(span.capacity()));
            self.forget_gaps(span);
            self.retired.push(span);
        } else if !span.is_listed() {
            lane.partial.push(span);
        }
    }

    /// Gives everything the heap has at hand back to its spans. By its owner, or by who acts as the owner.
    pub(super) fn empty(&self) {
        self.heap.sell_all();
        (0..CLASSES).filter(|class| self.heap.spans_held(*class) != 0).for_each(|class| self.empty_class(class));
        self.empty_shelf();
        self.drain_to_spans();
    }

    /// The same for one class.
    fn empty_class(&self, class: usize) {
        self.heap.settle(class);
        self.put_back(class, u32::MAX);
        self.return_run(class);
        self.heap.grant(class);
    }

    /// Gives the unused part of a run back to its span.
    fn return_run(&self, class: usize) {
        let lane = &self.heap.lanes[class];
        let (bump, end) = (lane.bump.get(), lane.end.get());
        if bump == end {
            return;
        }
        let Some(span) = span_of(bump) else { return };
        lane.bump.set(end);
        lane.spare.add(u64::from(span.return_run(bump, end)));
        self.list_or_retire(span);
    }
}
