//! Remote frees: blocks of another heap are collected in the remote cache and sent to their owner's inbox as chains. If
//! the owner does not drain its inbox, the sender does.
//!
//! # Safety
//! Chains run through blocks that their users have freed; they belong to the sender until the exchange that pushes them
//! onto the inbox.

use super::counters::count_stray_free;
use super::entry::{anchor_in, class_in};
use super::layout::{ANCHOR, Heap, Locked, PREFETCH_DISTANCE, REMOTE_LISTS, RemoteList};
use super::misuse;
use crate::backend::span::{may_begin_at, next_of, set_next};
use crate::base::guard::{self, Place, Wrong};
use crate::base::sizes::BLOCK_SIZE;
use crate::map::page_map;
use crate::policy;
use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use hakmem_os::cpu::prefetch;

/// The sender drains an inbox that holds more blocks or bytes than this.
const INBOX_BLOCKS: usize = 16_384;
const INBOX_BYTES: usize = 4 << 20;

/// Returns the address of a block's second word.
fn second_word(block: usize) -> usize {
    block + size_of::<usize>()
}

/// Returns the second word of a received block: the address of the block [`PREFETCH_DISTANCE`] links further. It is
/// arbitrary in a block that a thread without a heap sent.
///
/// # Safety
/// The block was received from the inbox and is at least two words long.
pub(super) unsafe fn prefetch_hint(block: usize) -> usize {
    // SAFETY: guaranteed by the caller.
    unsafe { next_of(second_word(block)) }
}

impl Heap {
    /// Frees `block`, whose page map entry names another heap than `mine`. `mine` is this thread's heap, or `None` if
    /// it has none.
    ///
    /// # Safety
    /// `block` is a block of the heap that the entry names, and its user has freed it.
    pub(super) unsafe fn free_remote(mine: Option<&Heap>, entry: usize, block: usize) {
        let (owner, class) = (anchor_in(entry), class_in(entry));
        let size = BLOCK_SIZE[class];
        let Some(heap) = mine else {
            // SAFETY: the block is a chain of one.
            unsafe { Heap::at_anchor(owner).push_onto_inbox(block, block, 1, size as usize) };
            return count_stray_free(class);
        };
        let list = &heap.remote_cache[owner / ANCHOR % REMOTE_LISTS];
        // This check reads no descriptor, which may be in another processor's cache. The receiver checks the rest.
        if !may_begin_at(class, block) {
            return misuse::report_misuse("free", block as *mut u8);
        }
        // The latest blocks are compared, which are in this thread's memory. To read a mark in the block itself would wait for
        // its cache line: a producer and a consumer became 1.2 to 1.4 times as slow by that.
        if list.has_recent(block) && list.is_in_chain(block) {
            let wrong = Wrong::FreedTwice(Place::Small(size as usize), heap.thread.load(Relaxed));
            return guard::report("free", block, wrong);
        }
        heap.lanes[class].sent.add(1);
        if list.owner.get() != owner {
            list.send();
            list.owner.set(owner);
        }
        // SAFETY: the block is free and this thread's to link.
        unsafe { set_next(block, list.first.get()) };
        let hint = list.recent[list.count.get() as usize % PREFETCH_DISTANCE].replace(block);
        if size >= 16 {
            // SAFETY: as above; the block has a second word.
            unsafe { set_next(second_word(block), hint) };
        }
        if list.first.replace(block) == 0 {
            list.last.set(block);
        }
        list.count.set(list.count.get() + 1);
        list.bytes.set(list.bytes.get() + size);
        let policy = policy::current();
        if list.count.get() as usize >= policy.remote_batch || list.bytes.get() as usize >= policy.remote_bytes {
            list.send();
        }
    }

    /// Sends all chains of the remote cache to their owners.
    pub(crate) fn send_all(&self) {
        self.remote_cache.iter().for_each(RemoteList::send);
    }

    /// Drains the inbox into the spans if the lock is free, for an owner that may be asleep.
    pub(crate) fn drain_if_free(&self) {
        if self.inbox.load(Relaxed) != 0
            && let Some(locked) = self.try_lock()
        {
            locked.drain_to_spans();
        }
    }

    /// Pushes a chain of `count` blocks of this heap onto the inbox. Called by the sender.
    ///
    /// # Safety
    /// The blocks are free, linked from `first` to `last`, and belong to the sender.
    unsafe fn push_onto_inbox(&self, first: usize, last: usize, count: usize, bytes: usize) {
        let mut head = self.inbox.load(Relaxed);
        loop {
            // SAFETY: `last` belongs to the sender until the exchange.
            unsafe { set_next(last, head) };
            // Release: pairs with the Acquire swap in `take_inbox`, so the receiver sees the links.
            match self.inbox.compare_exchange_weak(head, first, Release, Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        let blocks = self.inbox_blocks.fetch_add(count, Relaxed) + count;
        let bytes = self.inbox_bytes.fetch_add(bytes, AcqRel) + bytes;
        if blocks > INBOX_BLOCKS || bytes > INBOX_BYTES {
            self.drain_if_free();
        }
    }
}

impl Locked<'_> {
    /// Drains the inbox into the spans.
    pub(super) fn drain_to_spans(&self) {
        let mut block = self.take_inbox();
        while block != 0 {
            // SAFETY: the blocks of the inbox are free blocks of this heap.
            let next = unsafe { next_of(block) };
            let class = class_in(page_map::entry(block));
            if class > 0 {
                // SAFETY: as above; blocks above the first class have a second word.
                prefetch(unsafe { prefetch_hint(block) });
            }
            // SAFETY: as above.
            if !unsafe { self.put_received(block, class) } {
                return;
            }
            block = next;
        }
    }
}

impl RemoteList {
    /// Whether `block` is one of the latest blocks. These may have been sent already.
    fn has_recent(&self, block: usize) -> bool {
        self.recent.iter().any(|recent| recent.get() == block)
    }

    /// Whether `block` is in the chain that waits to be sent.
    #[cold]
    fn is_in_chain(&self, block: usize) -> bool {
        let mut at = self.first.get();
        for _ in 0..self.count.get() {
            if at == block {
                return true;
            }
            // SAFETY: a block of the chain belongs to this thread until it is sent.
            at = unsafe { next_of(at) };
        }
        false
    }

    fn send(&self) {
        let first = self.first.replace(0);
        if first != 0 {
            let (count, bytes) = (self.count.replace(0), self.bytes.replace(0));
            let owner = Heap::at_anchor(self.owner.get());
            // SAFETY: `free_remote` built the chain, block by block.
            unsafe { owner.push_onto_inbox(first, self.last.get(), count as usize, bytes as usize) };
        }
    }
}
