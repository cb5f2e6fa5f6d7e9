//! Spans: one to eight slabs cut into blocks of one class, or the slabs of one medium block.
//!
//! For a span of small blocks
//!
//! ```text
//!   free + away  <=  carved  <=  capacity
//!   carved - free - away  =  blocks in the program's hands or in its owner's bin and run
//! ```
//!
//! where `carved` counts the blocks handed out at least once, lowest first, `free` those that came back and hang on the
//! list, and `away` those that came back and lie in pages that went back to the system: see `gaps`. All of these are marked in `marks`. A span is empty when
//! nothing else is carved. A run handed to a bin counts as carved to the end.
//!
//! # Safety
//! A span of small blocks is touched only under the lock of the heap that owns it, a medium one only by the thread that
//! allocates, frees or resizes the block. Lists run through free blocks, which nobody else refers to.

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
    /// It came back already.
    Back,
    /// It points so many bytes behind the beginning of a block.
    Inside(usize),
    /// It was never handed out.
    NeverOut,
}

/// Descriptor of a span; out of band, in its segment's descriptor. All-zero until claimed.
#[repr(C)]
pub struct Span {
    /// Blocks that came back; 0 ends the list.
    pub(super) list: Cell<usize>,
    /// Which blocks are back.
    pub(super) marks: Marks,
    pub(super) next: Cell<*const Span>,
    pub(super) prev: Cell<*const Span>,
    pub(super) base: Cell<usize>,
    pub(super) free: Cell<u32>,
    pub(super) carved: Cell<u32>,
    pub(super) capacity: Cell<u32>,
    /// Blocks that are free and overlap pages that are gone.
    pub(super) away: Cell<u32>,
    pub(super) gone: Cell<Pages>,
    /// Free blocks at the last look for gaps.
    pub(super) looked: Cell<u32>,
    pub(super) class: Cell<u8>,
    pub(super) slabs: Cell<u8>,
    /// How many slabs back the span begins; 0 in the descriptor of its first slab.
    pub(super) back: Cell<u8>,
    /// Whether it stands in its owner's list of spans with free blocks.
    pub(super) listed: Cell<bool>,
    /// Whether blocks not yet carved are zero.
    pub(super) fresh: Cell<bool>,
    /// Whether blocks of its list went to a bin and none came back since.
    pub(super) drawn: Cell<bool>,
    /// Whether gaps were looked for since something changed.
    pub(super) tried: Cell<bool>,
    /// Whether pages of it are on their way to the system.
    pub(super) opening: Cell<bool>,
}

// SAFETY: see the module's `Safety`: every field has one thread at a time that may touch it.
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
    /// Makes this the span of `class` at `base`.
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
        self.drawn.set(false);
        self.away.set(0);
        self.gone.set(0);
        self.looked.set(0);
        self.tried.set(false);
        self.opening.set(false);
    }

    /// Notes that this slab belongs to the span that begins `back` slabs before it.
    pub fn set_back(&self, back: usize) {
        self.back.set(back as u8);
    }

    /// How many slabs before this one the span begins.
    pub fn back(&self) -> usize {
        self.back.get() as usize
    }

    /// Address of its first block.
    pub fn base(&self) -> usize {
        self.base.get()
    }

    /// Class of its blocks.
    pub fn class(&self) -> usize {
        self.class.get() as usize
    }

    /// Bytes of each of its blocks.
    pub fn block_size(&self) -> usize {
        BLOCK_SIZE[self.class()] as usize
    }

    /// Slabs it takes.
    pub fn slabs(&self) -> usize {
        self.slabs.get() as usize
    }

    /// Makes this the span of a medium block at `base`.
    pub fn start_medium(&self, base: usize, slabs: usize) {
        self.base.set(base);
        self.back.set(0);
        self.slabs.set(slabs as u8);
        self.listed.set(false);
    }

    /// The free medium block below this one in a pile of them.
    pub fn below(&self) -> Option<&'static Span> {
        // SAFETY: null or a span, which lives in a descriptor for ever.
        unsafe { self.next.get().as_ref() }
    }

    /// Puts this free medium block onto a pile of them.
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

    /// Blocks that came back and stand on the list.
    pub fn free_blocks(&self) -> u32 {
        self.free.get()
    }

    /// Blocks handed out at least once.
    pub fn carved_blocks(&self) -> u32 {
        self.carved.get()
    }

    /// Blocks it has room for.
    pub fn capacity(&self) -> u32 {
        self.capacity.get()
    }

    /// Whether every block that was handed out is back.
    pub fn is_empty(&self) -> bool {
        self.back_blocks() == self.carved.get() && !self.opening.get()
    }

    /// Blocks that came back, also those in gaps.
    pub fn back_blocks(&self) -> u32 {
        self.free.get() + self.away.get()
    }

    /// Whether it has a block to give.
    pub fn has_room(&self) -> bool {
        self.free.get() != 0 || self.carved.get() != self.capacity.get() || self.has_hole()
    }

    /// Whether its owner has it listed.
    pub fn is_listed(&self) -> bool {
        self.listed.get()
    }

    /// Whether a bin lives on its blocks: some of its list went there, and none came back since.
    pub fn is_drawn(&self) -> bool {
        self.drawn.get()
    }

    /// Takes a block back, unless something is wrong with it: then nothing changes. Blocks in `run` were never handed out.
    ///
    /// # Safety
    /// `block` lies in this span, and is free unless that is refused.
    #[cold]
    #[inline(never)]
    pub unsafe fn put_closely(&self, block: usize, run: &Range<usize>) -> Result<(), Refusal> {
        let index = self.index_of(block)?;
        if index >= self.carved.get() as usize || run.contains(&block) {
            return Err(Refusal::NeverOut);
        }
        if block == self.list.get() || self.back_blocks() == self.carved.get() || !self.marks.add(index) {
            return Err(Refusal::Back);
        }
        self.link(block);
        self.drawn.set(false);
        Ok(())
    }

    /// Takes back the first blocks of a list, `most` at most, as far as they lie in this span and nothing is seen to be wrong with them.
    /// Returns how many these are, and the next one: none if the first is for [`put_closely`](Self::put_closely), as are those from
    /// `run` on, the first block of a run, if that is in this span.
    ///
    /// # Safety
    /// The list leads through blocks of this span, as long as it is in it; they are free if they are taken back.
    #[inline]
    pub unsafe fn put_first_of(&self, list: usize, most: u32, run: usize) -> (u32, usize) {
        // All in local variables: the stores into blocks could be to the descriptor, for all that the compiler knows.
        let (reciprocal, base, bytes) = (RECIPROCAL[self.class()], self.base.get(), self.slabs() * SLAB);
        let (words, marked) = self.marks.raw();
        // Blocks below that were handed out, and are marked if they are back.
        let carved = marked.min(self.carved.get() as usize);
        let known = if run.wrapping_sub(base) < bytes { carved.min(divide(reciprocal, run - base).0) } else { carved };
        let (mut block, mut head, mut left) = (list, self.list.get(), most);
        while left != 0 && block.wrapping_sub(base) < bytes {
            let (index, is_border) = divide(reciprocal, block.wrapping_sub(base));
            // SAFETY: there is a word for each of the blocks that are known.
            if !is_border || index >= known || !marks::add(unsafe { &*words.add(index / BITS) }, index) {
                break;
            }
            // SAFETY: a free block of the span.
            let next = unsafe {
                let next = next_of(block);
                set_next(block, head);
                next
            };
            (head, block, left) = (block, next, left - 1);
        }
        self.list.set(head);
        self.free.set(self.free.get() + (most - left));
        self.drawn.set(self.drawn.get() && left == most);
        (most - left, block)
    }

    /// Puts a block first on the list.
    pub(super) fn link(&self, block: usize) {
        // SAFETY: the callers have a block of this span that nobody uses.
        unsafe { set_next(block, self.list.get()) };
        self.list.set(block);
        self.free.set(self.free.get() + 1);
    }

    /// Number of the block that begins at `address`, which lies in this span.
    #[inline]
    pub fn index_of(&self, address: usize) -> Result<usize, Refusal> {
        index_in(self.class(), address.wrapping_sub(self.base.get())).map_err(Refusal::Inside)
    }

    /// Whether the block at `address` is known to be back. May be asked without the lock, and is then about some recent
    /// moment.
    pub fn holds(&self, address: usize) -> bool {
        self.index_of(address).is_ok_and(|index| self.marks.has(index))
    }

    /// Whether a block begins at `address` that is not known to be back. When it is asked without the lock, as [`holds`](Self::holds).
    pub fn is_out(&self, address: usize) -> bool {
        self.index_of(address).is_ok_and(|index| index < self.capacity() as usize && !self.marks.has(index))
    }

    /// Whether the link in a block that is back is the list's, and not one that was written since.
    pub fn is_linked(&self, block: usize) -> bool {
        !self.index_of(block).is_ok_and(|index| self.is_away(index)) && self.list_is_whole()
    }

    /// Whether the list leads through blocks that are back, to its end.
    pub fn list_is_whole(&self) -> bool {
        if !self.marks.are_kept() {
            return true;
        }
        let (mut at, mut left) = (self.list.get(), self.free.get());
        while left != 0 && self.owns(at) && self.holds(at) {
            // SAFETY: a block that is marked is free.
            at = unsafe { next_of(at) };
            left -= 1;
        }
        left == 0 && at == 0
    }

    /// Makes the list anew of the blocks that are back: somebody wrote into one of them.
    pub fn relist(&self) {
        self.list.set(0);
        self.free.set(0);
        for index in (0..self.carved.get() as usize).rev() {
            if !self.marks.has(index) || self.is_away(index) {
                continue;
            }
            self.link(self.base.get() + index * BLOCK_SIZE[self.class()] as usize);
        }
    }

    /// Whether `address` lies in its slabs.
    fn owns(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.get()) < self.slabs() * SLAB
    }

    /// Takes the marks off the first `count` blocks of a list, one at least, and returns the last of them.
    ///
    /// # Safety
    /// They are blocks of this span.
    unsafe fn unmark(&self, list: usize, count: u32) -> usize {
        let (reciprocal, base, words) = (RECIPROCAL[self.class()], self.base.get(), self.marks.words());
        let (mut last, mut left) = (list, count);
        loop {
            let index = divide(reciprocal, last.wrapping_sub(base)).0;
            // A link may have been written over.
            if let Some(word) = words.get(index / BITS) {
                marks::remove(word, index);
            }
            left -= 1;
            if left == 0 {
                return last;
            }
            // SAFETY: the caller's.
            last = unsafe { next_of(last) };
        }
    }

    /// Takes up to `most` blocks off the list.
    pub fn take_list(&self, most: u32) -> Chain {
        self.drawn.set(true);
        let first = self.list.get();
        if self.free.get() <= most {
            self.mark_away_only();
            self.list.set(0);
            return Chain { first, count: self.free.replace(0) };
        }
        // SAFETY: the list has more than `most` blocks.
        let last = unsafe { self.unmark(first, most) };
        // SAFETY: as above; the chain now ends at `last`.
        unsafe {
            self.list.set(next_of(last));
            set_next(last, 0);
        }
        self.free.set(self.free.get() - most);
        Chain { first, count: most }
    }

    /// Takes all blocks not yet carved: their first address, the address after the last, and whether they are zero.
    pub fn take_run(&self) -> (usize, usize, bool) {
        let block = BLOCK_SIZE[self.class()] as usize;
        let from = self.base.get() + self.carved.replace(self.capacity.get()) as usize * block;
        (from, self.base.get() + self.capacity.get() as usize * block, self.fresh.get())
    }

    /// Takes back the part of a run that was not used: one at the end of the span is not carved any more, the blocks of another go
    /// onto the list. Returns how many blocks these are.
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

    /// Whether `address` is where one of its blocks begins.
    pub fn is_block(&self, address: usize) -> bool {
        self.owns(address) && self.index_of(address).is_ok_and(|index| index < self.capacity.get() as usize)
    }

    /// Whether the blocks that are back are marked, and no others, for the validator.
    pub fn is_marked(&self) -> bool {
        let listed = || self.list().all(|block| self.holds(block));
        !self.marks.are_kept() || listed() && self.marks.count() == self.back_blocks()
    }

    /// The addresses on its list, for the validator.
    pub fn list(&self) -> impl Iterator<Item = usize> {
        let mut at = self.list.get();
        core::iter::from_fn(move || {
            let block = at;
            // SAFETY: every block on the list is free.
            at = if block == 0 { 0 } else { unsafe { next_of(block) } };
            (block != 0).then_some(block)
        })
    }

    /// Whether a gap can be filled.
    pub fn has_hole(&self) -> bool {
        self.away.get() != 0 && !self.opening.get()
    }

    /// Whether its pages are on their way to the system: until then its gaps cannot be filled, and it cannot be retired.
    pub fn is_opening(&self) -> bool {
        self.opening.get()
    }

    /// The pages that a block overlaps.
    pub(super) fn pages_of(&self, block: usize) -> Pages {
        let at = block * self.block_size();
        pages(at / PAGE, (at + self.block_size()).div_ceil(PAGE))
    }

    /// The blocks that overlap the pages from `first` on, `count` of them: the first, and the one behind the last.
    pub(super) fn blocks_of(&self, first: usize, count: usize) -> (usize, usize) {
        let size = self.block_size();
        (first * PAGE / size, ((first + count) * PAGE).div_ceil(size).min(self.capacity() as usize))
    }

    /// Whether a block is away.
    fn is_away(&self, block: usize) -> bool {
        self.away.get() != 0 && self.pages_of(block) & self.gone() != 0
    }

    /// Marks the blocks that are away, and no others.
    fn mark_away_only(&self) {
        self.marks.clear();
        if self.away.get() != 0 {
            for (first, count) in runs(self.gone()) {
                let (from, to) = self.blocks_of(first, count);
                for block in from..to {
                    self.marks.add(block);
                }
            }
        }
    }

    /// Pages that are gone.
    pub fn gone(&self) -> Pages {
        self.gone.get()
    }
}
