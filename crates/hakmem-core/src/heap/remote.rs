//! Frees of blocks that belong to another heap: collected, handed over as chains, served if the owner does not.
//!
//! # Safety
//! Chains run through blocks that their users gave up; the sender owns them until the exchange that hands them over.

use super::counters::count_stray_free;
use super::entry::{anchor_in, class_in};
use super::layout::{ANCHOR, FETCH_AHEAD, Heap, Locked, REMOTE_LISTS, RemoteList};
use super::misuse;
use crate::backend::span::{may_begin_at, next_of, set_next};
use crate::base::guard::{self, Place, Wrong};
use crate::base::sizes::BLOCK_SIZE;
use crate::map::page_map;
use crate::policy;
use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use hakmem_os::cpu::prefetch;
use hakmem_os::vm::ADDRESS_BITS;

/// What stands above that address in the second word, where no address has bits: by it a block is recognised that is on its way
/// already, until the receiver wipes it. No text, number or address that programs keep has it often; then the chain tells.
const ON_ITS_WAY: usize = 0x15A3D;

/// An inbox with more than this is served by whoever sends to it.
const INBOX_BLOCKS: usize = 16_384;
const INBOX_BYTES: usize = 4 << 20;

/// Where the second word of a block is.
fn second(block: usize) -> usize {
    block + size_of::<usize>()
}

fn is_on_its_way(word: usize) -> bool {
    word >> ADDRESS_BITS == ON_ITS_WAY
}

/// Takes what a sender wrote out of the second word of a block that has one: the address of one so many links on, or in a block that
/// came alone anything at all.
///
/// # Safety
/// A block that came in.
pub(super) unsafe fn take_ahead(block: usize) -> usize {
    // SAFETY: the caller's.
    unsafe {
        let word = next_of(second(block));
        set_next(second(block), 0);
        word & ((1 << ADDRESS_BITS) - 1)
    }
}

impl Heap {
    /// Frees `block`, whose page map entry names another heap than `mine`, this thread's, which may have none.
    ///
    /// # Safety
    /// `block` is a block of that heap, given up by its user.
    pub(super) unsafe fn free_remote(mine: Option<&Heap>, entry: usize, block: usize) {
        let (owner, class) = (anchor_in(entry), class_in(entry));
        let size = BLOCK_SIZE[class];
        let Some(heap) = mine else {
            // SAFETY: a chain of one.
            unsafe { Heap::at_anchor(owner).receive(block, block, 1, size as usize) };
            return count_stray_free(class);
        };
        let route = &heap.remote_cache[owner / ANCHOR % REMOTE_LISTS];
        // Where that costs a look at a descriptor in another processor's cache, the receiver sees to it.
        if !may_begin_at(class, block) {
            return misuse::name_misuse("free", block as *mut u8);
        }
        // SAFETY: the block has a second word.
        let may_be_sent = if size >= 16 { is_on_its_way(unsafe { next_of(second(block)) }) } else { route.has(block) };
        if may_be_sent && route.leads_to(block) {
            let wrong = Wrong::FreedTwice(Place::Small(size as usize), heap.thread.load(Relaxed));
            return guard::report("free", block, wrong);
        }
        heap.lanes[class].sent.add(1);
        if route.owner.get() != owner {
            route.send();
            route.owner.set(owner);
        }
        // SAFETY: the block is free and this thread's to link.
        unsafe { set_next(block, route.first.get()) };
        let earlier = route.recent[route.count.get() as usize % FETCH_AHEAD].replace(block);
        if size >= 16 {
            // SAFETY: as above, and the block has a second word.
            unsafe { set_next(second(block), earlier | ON_ITS_WAY << ADDRESS_BITS) };
        }
        if route.first.replace(block) == 0 {
            route.last.set(block);
        }
        route.count.set(route.count.get() + 1);
        route.bytes.set(route.bytes.get() + size);
        let policy = policy::current();
        if route.count.get() as usize >= policy.remote_batch || route.bytes.get() as usize >= policy.remote_bytes {
            route.send();
        }
    }

    /// Hands over all that waits to be handed over.
    pub(crate) fn send_all(&self) {
        self.remote_cache.iter().for_each(RemoteList::send);
    }

    /// Serves a heap whose owner may be asleep: what others freed goes back to its spans.
    pub(crate) fn drain_if_free(&self) {
        if self.inbox.load(Relaxed) != 0
            && let Some(locked) = self.try_lock()
        {
            locked.drain_to_spans();
        }
    }

    /// Takes a chain of `count` blocks of this heap from another thread.
    ///
    /// # Safety
    /// The blocks are free, linked from `first` to `last`, and the sender's to give.
    unsafe fn receive(&self, first: usize, last: usize, count: usize, bytes: usize) {
        let mut head = self.inbox.load(Relaxed);
        loop {
            // SAFETY: `last` is the sender's until the exchange.
            unsafe { set_next(last, head) };
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
    /// Puts what others freed into the spans.
    pub(super) fn drain_to_spans(&self) {
        let mut block = self.take_inbox();
        while block != 0 {
            // SAFETY: the inbox holds free blocks of this heap.
            let next = unsafe { next_of(block) };
            let class = class_in(page_map::entry(block));
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
}

impl RemoteList {
    /// Whether a block may be on its way already, as far as the latest ones tell: they may have been sent before.
    fn has(&self, block: usize) -> bool {
        self.recent.iter().any(|recent| recent.get() == block)
    }

    /// Whether a block is on its way already.
    #[cold]
    fn leads_to(&self, block: usize) -> bool {
        let mut at = self.first.get();
        for _ in 0..self.count.get() {
            if at == block {
                return true;
            }
            // SAFETY: a block on the way, so this thread's.
            at = unsafe { next_of(at) };
        }
        false
    }

    fn send(&self) {
        let first = self.first.replace(0);
        if first != 0 {
            let (count, bytes) = (self.count.replace(0), self.bytes.replace(0));
            let owner = Heap::at_anchor(self.owner.get());
            // SAFETY: the chain that was built block by block in `free_remote`.
            unsafe { owner.receive(first, self.last.get(), count as usize, bytes as usize) };
        }
    }
}
