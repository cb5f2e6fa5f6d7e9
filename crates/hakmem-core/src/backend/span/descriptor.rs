//! Spans: one to eight slabs cut into blocks of one class, or the slabs of one medium block.
//!
//! A span of small blocks has three counters:
//!
//! ```text
//!   free + blocks_in_holes  <=  carved  <=  capacity
//!   carved - free - blocks_in_holes  =  blocks in use, or in the owner's bin or run
//! ```
//!
//! - `carved` counts the blocks that were handed out at least once; the lowest blocks are handed out first.
//! - `free` counts the blocks that were returned to the span and stand on its list.
//! - `blocks_in_holes` counts the blocks that were returned and overlap pages that were purged: see `holes`.
//!
//! Returned blocks are marked in `marks`. A span is empty when all carved blocks were returned. The blocks of a run
//! that was handed to a bin all count as carved.
//!
//! For example, a span of 64 blocks of 1 KiB:
//!
//! ```text
//!   block    0 ... 3 | 4 ... 7 | 8 ........ 19 | 20 ........ 63
//!           returned | in use  |   returned,   | not yet carved
//!                    |         | pages purged  |
//!   free = 4, blocks_in_holes = 12, carved = 20, capacity = 64: 20 - 4 - 12 = 4 blocks are in use
//! ```
//!
//! # Safety
//! A span of small blocks is touched only under the lock of the heap that owns it, a medium one only by the thread that
//! allocates, frees or resizes the block. Lists run through free blocks, which no other code accesses.

use super::index::{RECIPROCAL, divide, index_in};
use super::link::{next_of, set_next};
use super::marks::{self, BITS, Marks};
use super::pages::{Pages, pages, runs};
use crate::base::sizes::{BLOCK_SIZE, SLAB, SPAN_SLABS};
use core::ops::Range;
use core::ptr;
use hakmem_os::atomic::Cell;
use hakmem_os::vm::PAGE;

/// Why a span does not take a block back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The block was returned already.
    AlreadyFree,
    /// The address lies this many bytes behind the beginning of a block.
    Inside(usize),
    /// The block was never handed out.
    NeverHandedOut,
}

/// Descriptor of a span. It lies outside of the span, in the descriptor of the segment, and is zero until the span is
/// first claimed.
#[repr(C)]
pub struct Span {
    /// First block of the list of returned blocks; 0 ends the list.
    pub(super) list: Cell<usize>,
    /// Which blocks were returned.
    pub(super) marks: Marks,
    pub(super) next: Cell<*const Span>,
    pub(super) prev: Cell<*const Span>,
    pub(super) base: Cell<usize>,
    pub(super) free: Cell<u32>,
    pub(super) carved: Cell<u32>,
    pub(super) capacity: Cell<u32>,
    /// Blocks that were returned and overlap purged pages.
    pub(super) blocks_in_holes: Cell<u32>,
    pub(super) purged: Cell<Pages>,
    /// Free blocks when the span was last searched for holes.
    pub(super) free_at_last_look: Cell<u32>,
    pub(super) class: Cell<u8>,
    pub(super) slabs: Cell<u8>,
    /// How many slabs before this one the span begins; 0 in the descriptor of its first slab.
    pub(super) slabs_before: Cell<u8>,
    /// Whether the span stands in its owner's list of spans with free blocks.
    pub(super) listed: Cell<bool>,
    /// Whether the blocks that are not yet carved are zero.
    pub(super) fresh: Cell<bool>,
    /// Whether blocks of the list went to a bin, and none was returned since.
    pub(super) feeds_bin: Cell<bool>,
    /// Whether the span was searched for holes since its number of free blocks changed.
    pub(super) searched: Cell<bool>,
    /// Whether pages of the span are being purged.
    pub(super) purging: Cell<bool>,
}

// SAFETY: as the module's `Safety` section says, one thread at a time may touch each field.
unsafe impl Sync for Span {}

/// A chain of free blocks.
#[derive(Clone, Copy)]
pub struct Chain {
    /// First block, 0 for none.
    pub first: usize,
    /// Number of blocks.
    pub count: u32,
}

impl Span {
    /// Makes this the descriptor of a span of `class` at `base`.
    pub fn start(&'static self, base: usize, class: usize, fresh: bool) {
        let slabs = SPAN_SLABS[class];
        self.list.set(0);
        self.marks.start(slabs as usize * SLAB / BLOCK_SIZE[class] as usize);
        self.next.set(ptr::null());
        self.prev.set(ptr::null());
        self.base.set(base);
        self.free.set(0);
        self.carved.set(0);
        self.capacity.set((slabs as usize * SLAB / BLOCK_SIZE[class] as usize) as u32);
        self.class.set(class as u8);
        self.slabs.set(slabs);
        self.listed.set(false);
        self.fresh.set(fresh);
        self.feeds_bin.set(false);
        self.blocks_in_holes.set(0);
        self.purged.set(0);
        self.free_at_last_look.set(0);
        self.searched.set(false);
        self.purging.set(false);
    }

    /// Notes that this slab belongs to the span that begins `slabs` slabs before it.
    pub fn set_slabs_before(&self, slabs: usize) {
        self.slabs_before.set(slabs as u8);
    }

    /// How many slabs before this one its span begins.
    pub fn slabs_before(&self) -> usize {
        self.slabs_before.get() as usize
    }

    /// Address of the first block.
    pub fn base(&self) -> usize {
        self.base.get()
    }

    /// Size class of the blocks.
    pub fn class(&self) -> usize {
        self.class.get() as usize
    }

    /// Bytes of each block.
    pub fn block_size(&self) -> usize {
        BLOCK_SIZE[self.class()] as usize
    }

    /// Number of slabs.
    pub fn slabs(&self) -> usize {
        self.slabs.get() as usize
    }

    /// Makes this the descriptor of a medium block at `base`.
    pub fn start_medium(&self, base: usize, slabs: usize) {
        self.base.set(base);
        self.slabs_before.set(0);
        self.slabs.set(slabs as u8);
        self.listed.set(false);
    }

    /// The cached medium block below this one on a stack of them.
    pub fn below(&self) -> Option<&'static Span> {
        // SAFETY: null or a span, whose descriptor is never unmapped.
        unsafe { self.next.get().as_ref() }
    }

    /// Puts this cached medium block on top of a stack of them.
    pub fn set_below(&self, below: Option<&'static Span>) {
        self.next.set(below.map_or(ptr::null(), ptr::from_ref));
    }

    /// Sets the slabs of a medium block.
    pub fn set_slabs(&self, slabs: usize) {
        self.slabs.set(slabs as u8);
    }

    /// Bytes of a medium block.
    pub fn bytes(&self) -> usize {
        self.capacity.get() as usize
    }

    /// Sets the bytes of a medium block.
    pub fn set_bytes(&self, bytes: usize) {
        self.capacity.set(bytes as u32);
    }

    /// Blocks on the list.
    pub fn free_blocks(&self) -> u32 {
        self.free.get()
    }

    /// Blocks handed out at least once.
    pub fn carved_blocks(&self) -> u32 {
        self.carved.get()
    }

    /// The number of blocks that the span has room for.
    pub fn capacity(&self) -> u32 {
        self.capacity.get()
    }

    /// Whether every block that was handed out was returned.
    pub fn is_empty(&self) -> bool {
        self.returned_blocks() == self.carved.get() && !self.purging.get()
    }

    /// Blocks that were returned: those on the list and those in holes.
    pub fn returned_blocks(&self) -> u32 {
        self.free.get() + self.blocks_in_holes.get()
    }

    /// Whether the span has a block to hand out.
    pub fn has_room(&self) -> bool {
        self.free.get() != 0 || self.carved.get() != self.capacity.get() || self.has_hole()
    }

    /// Whether the span stands in its owner's list.
    pub fn is_listed(&self) -> bool {
        self.listed.get()
    }

    /// Whether a bin is supplied from this span: it took blocks of the list, and none was returned since.
    pub fn feeds_bin(&self) -> bool {
        self.feeds_bin.get()
    }

    /// Takes a block back with all checks. Where a check fails, nothing changes. The blocks in `run` were never handed
    /// out.
    ///
    /// # Safety
    /// `block` lies in this span. It is free, unless this function refuses it.
    #[cold]
    #[inline(never)]
    pub unsafe fn return_checked(&self, block: usize, run: &Range<usize>) -> Result<(), Refusal> {
        let index = self.index_of(block)?;
        if index >= self.carved.get() as usize || run.contains(&block) {
            return Err(Refusal::NeverHandedOut);
        }
        if block == self.list.get() || self.returned_blocks() == self.carved.get() || !self.marks.add(index) {
            return Err(Refusal::AlreadyFree);
        }
        self.link(block);
        self.feeds_bin.set(false);
        Ok(())
    }

    /// Takes back blocks from the front of a list, at most `most`, and stops at the first one that lies outside of this
    /// span or fails a quick check. `run` is the first block of a run that was not handed out: blocks of this span from
    /// there on are left to [`return_checked`](Self::return_checked), as is every block that fails a check. Returns how
    /// many blocks were taken back, and the block at which it stopped.
    ///
    /// # Safety
    /// The blocks of the list are free, as far as they lie in this span and are taken back.
    #[inline]
    pub unsafe fn return_batch(&self, list: usize, most: u32, run: usize) -> (u32, usize) {
        // Everything is in local variables: for the compiler, each store into a block may change the descriptor.
        let (reciprocal, base, bytes) = (RECIPROCAL[self.class()], self.base.get(), self.slabs() * SLAB);
        let (words, marked) = self.marks.raw();
        // Blocks with a number below `known` were handed out, and each has a mark that says whether it was returned.
        let carved = marked.min(self.carved.get() as usize);
        let known = if run.wrapping_sub(base) < bytes { carved.min(divide(reciprocal, run - base).0) } else { carved };
        let (mut block, mut head, mut left) = (list, self.list.get(), most);
        while left != 0 && block.wrapping_sub(base) < bytes {
            let (index, is_border) = divide(reciprocal, block.wrapping_sub(base));
            // SAFETY: `index` is less than `known`, so its mark has a word.
            if !is_border || index >= known || !marks::add(unsafe { &*words.add(index / BITS) }, index) {
                break;
            }
            // SAFETY: `block` is a free block of this span.
            let next = unsafe {
                let next = next_of(block);
                set_next(block, head);
                next
            };
            (head, block, left) = (block, next, left - 1);
        }
        self.list.set(head);
        self.free.set(self.free.get() + (most - left));
        self.feeds_bin.set(self.feeds_bin.get() && left == most);
        (most - left, block)
    }

    /// Puts a block at the front of the list.
    pub(super) fn link(&self, block: usize) {
        // SAFETY: the caller passes a free block of this span.
        unsafe { set_next(block, self.list.get()) };
        self.list.set(block);
        self.free.set(self.free.get() + 1);
    }

    /// Returns the number of the block that begins at `address`, which lies in this span.
    #[inline]
    pub fn index_of(&self, address: usize) -> Result<usize, Refusal> {
        index_in(self.class(), address.wrapping_sub(self.base.get())).map_err(Refusal::Inside)
    }

    /// Whether the block at `address` is marked as returned. A caller without the lock gets an answer about some recent
    /// moment.
    pub fn is_returned(&self, address: usize) -> bool {
        self.index_of(address).is_ok_and(|index| self.marks.has(index))
    }

    /// Whether a block begins at `address` that is not marked as returned. Without the lock, the same holds as for
    /// [`is_returned`](Self::is_returned).
    pub fn may_be_in_use(&self, address: usize) -> bool {
        self.index_of(address).is_ok_and(|index| index < self.capacity() as usize && !self.marks.has(index))
    }

    /// Whether the link in a returned block is the one that the list wrote, as far as the list shows.
    pub fn link_is_intact(&self, block: usize) -> bool {
        !self.index_of(block).is_ok_and(|index| self.is_in_hole(index)) && self.list_is_intact()
    }

    /// Whether the list leads through returned blocks to its end.
    pub fn list_is_intact(&self) -> bool {
        if !self.marks.exist() {
            return true;
        }
        let (mut at, mut left) = (self.list.get(), self.free.get());
        while left != 0 && self.contains(at) && self.is_returned(at) {
            // SAFETY: a marked block is free.
            at = unsafe { next_of(at) };
            left -= 1;
        }
        left == 0 && at == 0
    }

    /// Builds the list again from the marks: the program wrote into a free block and damaged the list.
    pub fn rebuild_list(&self) {
        self.list.set(0);
        self.free.set(0);
        for index in (0..self.carved.get() as usize).rev() {
            if !self.marks.has(index) || self.is_in_hole(index) {
                continue;
            }
            self.link(self.base.get() + index * BLOCK_SIZE[self.class()] as usize);
        }
    }

    /// Whether `address` lies in the slabs of this span.
    fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.get()) < self.slabs() * SLAB
    }

    /// Removes the marks of the first `count` blocks of a list, at least one, and returns the last of them.
    ///
    /// # Safety
    /// The caller guarantees that these are free blocks of this span.
    unsafe fn unmark(&self, list: usize, count: u32) -> usize {
        let (reciprocal, base, words) = (RECIPROCAL[self.class()], self.base.get(), self.marks.words());
        let (mut last, mut left) = (list, count);
        loop {
            let index = divide(reciprocal, last.wrapping_sub(base)).0;
            // The program may have overwritten a link.
            if let Some(word) = words.get(index / BITS) {
                marks::remove(word, index);
            }
            left -= 1;
            if left == 0 {
                return last;
            }
            // SAFETY: the caller guarantees that the list has this block.
            last = unsafe { next_of(last) };
        }
    }

    /// Takes at most `most` blocks off the list.
    pub fn take_list(&self, most: u32) -> Chain {
        self.feeds_bin.set(true);
        let first = self.list.get();
        if self.free.get() <= most {
            self.mark_only_blocks_in_holes();
            self.list.set(0);
            return Chain { first, count: self.free.replace(0) };
        }
        // SAFETY: the list has more than `most` blocks.
        let last = unsafe { self.unmark(first, most) };
        // SAFETY: as above; the chain ends at `last`.
        unsafe {
            self.list.set(next_of(last));
            set_next(last, 0);
        }
        self.free.set(self.free.get() - most);
        Chain { first, count: most }
    }

    /// Takes all blocks that are not yet carved. Returns the address of the first, the address behind the last, and
    /// whether they are zero.
    pub fn take_run(&self) -> (usize, usize, bool) {
        let block = BLOCK_SIZE[self.class()] as usize;
        let from = self.base.get() + self.carved.replace(self.capacity.get()) as usize * block;
        (from, self.base.get() + self.capacity.get() as usize * block, self.fresh.get())
    }

    /// Takes back the unused part of a run. Blocks at the end of the span become uncarved again; other blocks go onto
    /// the list. Returns how many blocks that are.
    pub fn return_run(&self, from: usize, end: usize) -> u32 {
        let block = BLOCK_SIZE[self.class()] as usize;
        if end == self.base.get() + self.capacity.get() as usize * block {
            self.carved.set(((from - self.base.get()) / block) as u32);
        } else {
            for at in (from..end).step_by(block).rev() {
                self.marks.add((at - self.base.get()) / block);
                self.link(at);
            }
        }
        ((end - from) / block) as u32
    }

    /// Whether a block of this span begins at `address`.
    pub fn is_block(&self, address: usize) -> bool {
        self.contains(address) && self.index_of(address).is_ok_and(|index| index < self.capacity.get() as usize)
    }

    /// Whether the returned blocks are marked, and no others; for the validator.
    pub fn marks_match_list(&self) -> bool {
        let listed = || self.list().all(|block| self.is_returned(block));
        !self.marks.exist() || listed() && self.marks.count() == self.returned_blocks()
    }

    /// Returns the addresses on the list, for the validator.
    pub fn list(&self) -> impl Iterator<Item = usize> {
        let mut at = self.list.get();
        core::iter::from_fn(move || {
            let block = at;
            // SAFETY: every block on the list is free.
            at = if block == 0 { 0 } else { unsafe { next_of(block) } };
            (block != 0).then_some(block)
        })
    }

    /// Whether the span has a hole that can be filled.
    pub fn has_hole(&self) -> bool {
        self.blocks_in_holes.get() != 0 && !self.purging.get()
    }

    /// Whether pages of the span are being purged. Until that ends, its holes cannot be filled and the span cannot be
    /// retired.
    pub fn is_purging(&self) -> bool {
        self.purging.get()
    }

    /// Returns the pages that a block overlaps.
    pub(super) fn pages_of(&self, block: usize) -> Pages {
        let at = block * self.block_size();
        pages(at / PAGE, (at + self.block_size()).div_ceil(PAGE))
    }

    /// Returns the blocks that overlap `count` pages from page `first` on: the number of the first block, and the
    /// number behind the last.
    pub(super) fn blocks_of(&self, first: usize, count: usize) -> (usize, usize) {
        let size = self.block_size();
        (first * PAGE / size, ((first + count) * PAGE).div_ceil(size).min(self.capacity() as usize))
    }

    /// Whether a block overlaps a purged page.
    fn is_in_hole(&self, block: usize) -> bool {
        self.blocks_in_holes.get() != 0 && self.pages_of(block) & self.purged_pages() != 0
    }

    /// Marks the blocks in holes, and no others.
    fn mark_only_blocks_in_holes(&self) {
        self.marks.clear();
        if self.blocks_in_holes.get() != 0 {
            for (first, count) in runs(self.purged_pages()) {
                let (from, to) = self.blocks_of(first, count);
                for block in from..to {
                    self.marks.add(block);
                }
            }
        }
    }

    /// The pages that were purged, or are being purged.
    pub fn purged_pages(&self) -> Pages {
        self.purged.get()
    }
}
