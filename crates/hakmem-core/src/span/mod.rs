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
//! list, and `away` those that came back and lie in pages that went back to the system: see `gaps`. A span is empty when
//! nothing else is carved. A run handed to a bin counts as carved to the end.
//!
//! # Safety
//! A span of small blocks is touched only under the lock of the heap that owns it, a medium one only by the thread that
//! allocates, frees or resizes the block. Lists run through free blocks, which nobody else refers to.

pub mod gaps;

use crate::sizes::{BLOCK_SIZE, SLAB, SPAN_SLABS};
use core::ptr;
use gaps::Pages;
use hakmem_os::atomic::{Cell, note_read, note_write};

/// Descriptor of a span; out of band, in its segment's descriptor. All-zero until claimed.
#[repr(C)]
pub struct Span {
    /// Blocks that came back; 0 ends the list.
    list: Cell<usize>,
    next: Cell<*const Span>,
    prev: Cell<*const Span>,
    base: Cell<usize>,
    free: Cell<u32>,
    carved: Cell<u32>,
    capacity: Cell<u32>,
    /// Blocks that are free and overlap pages that are gone.
    away: Cell<u32>,
    gone: Cell<Pages>,
    /// Free blocks at the last look for gaps.
    looked: Cell<u32>,
    class: Cell<u8>,
    slabs: Cell<u8>,
    /// How many slabs back the span begins; 0 in the descriptor of its first slab.
    back: Cell<u8>,
    /// Whether it stands in its owner's list of spans with free blocks.
    listed: Cell<bool>,
    /// Whether blocks not yet carved are zero.
    fresh: Cell<bool>,
    /// Whether blocks of its list went to a bin and none came back since.
    drawn: Cell<bool>,
    /// Whether gaps were looked for since something changed.
    tried: Cell<bool>,
    /// Whether pages of it are on their way to the system.
    opening: Cell<bool>,
}

// SAFETY: see the module's `Safety`: every field has one thread at a time that may touch it.
unsafe impl Sync for Span {}

/// The block after `block` in a list.
///
/// # Safety
/// `block` is a free block of ours.
#[inline(always)]
pub unsafe fn next_of(block: usize) -> usize {
    note_read(block);
    // SAFETY: a free block holds the link in its first word.
    unsafe { (block as *const usize).read() }
}

/// Links `block` in front of `next`.
///
/// # Safety
/// `block` is a free block of ours.
#[inline(always)]
pub unsafe fn set_next(block: usize, next: usize) {
    note_write(block);
    // SAFETY: a free block is at least one word, aligned to it, and nobody else's.
    unsafe { (block as *mut usize).write(next) }
}

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
        self.free.get() != 0 || self.carved.get() != self.capacity.get() || self.has_gap()
    }

    /// Whether its owner has it listed.
    pub fn is_listed(&self) -> bool {
        self.listed.get()
    }

    /// Whether a bin lives on its blocks: some of its list went there, and none came back since.
    pub fn is_drawn(&self) -> bool {
        self.drawn.get()
    }

    /// Takes a block back. Returns false if it was noticed to be back already: it is the last one that came, or more came back
    /// than went out.
    ///
    /// # Safety
    /// `block` is a free block of this span.
    #[inline]
    pub unsafe fn put(&self, block: usize) -> bool {
        if self.back_blocks() == self.carved.get() || self.list.get() == block {
            return false;
        }
        // SAFETY: the caller's.
        unsafe { set_next(block, self.list.get()) };
        self.list.set(block);
        self.free.set(self.free.get() + 1);
        self.drawn.set(false);
        true
    }

    /// Takes up to `most` blocks off the list.
    pub fn take_list(&self, most: u32) -> Chain {
        self.drawn.set(true);
        let first = self.list.get();
        if self.free.get() <= most {
            self.list.set(0);
            return Chain { first, count: self.free.replace(0) };
        }
        let mut last = first;
        for _ in 1..most {
            // SAFETY: the list has more than `most` blocks.
            last = unsafe { next_of(last) };
        }
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
                // SAFETY: a block of the run, which nobody uses.
                unsafe { set_next(at, self.list.get()) };
                self.list.set(at);
                self.free.set(self.free.get() + 1);
            }
        }
        ((end - from) / block) as u32
    }

    /// Whether `address` is where one of its blocks begins.
    pub fn is_block(&self, address: usize) -> bool {
        let block = BLOCK_SIZE[self.class()] as usize;
        let distance = address.wrapping_sub(self.base.get());
        distance.is_multiple_of(block) && distance / block < self.capacity.get() as usize
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
}

/// A heap's spans of one class that have blocks to give, latest first.
pub struct SpanList(Cell<*const Span>);

impl Default for SpanList {
    fn default() -> SpanList {
        SpanList(Cell::new(ptr::null()))
    }
}

impl SpanList {
    /// Takes the first span out.
    pub fn pop(&self) -> Option<&'static Span> {
        let first = self.iter().next()?;
        self.remove(first);
        Some(first)
    }

    /// The spans, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &'static Span> {
        // SAFETY: null or a span, which lives in a descriptor for ever.
        let mut at = unsafe { self.0.get().as_ref() };
        core::iter::from_fn(move || {
            let span = at?;
            // SAFETY: as above.
            at = unsafe { span.next.get().as_ref() };
            Some(span)
        })
    }

    /// Puts `span` first, unless it is listed already.
    pub fn push(&self, span: &'static Span) {
        if span.listed.replace(true) {
            return;
        }
        // SAFETY: null or a span.
        if let Some(first) = unsafe { self.0.get().as_ref() } {
            first.prev.set(span);
        }
        span.next.set(self.0.get());
        span.prev.set(ptr::null());
        self.0.set(span);
    }

    /// Takes `span` out, if it is listed.
    pub fn remove(&self, span: &'static Span) {
        if !span.listed.replace(false) {
            return;
        }
        // SAFETY: null or a span.
        unsafe {
            match span.prev.get().as_ref() {
                Some(prev) => prev.next.set(span.next.get()),
                None => self.0.set(span.next.get()),
            }
            if let Some(next) = span.next.get().as_ref() {
                next.prev.set(span.prev.get());
            }
        }
    }
}
