//! The state that the workers share, the operations on it, and the checks while no thread is in the allocator.
//!
//! # Safety
//! A block is in one slot, or belongs to the worker that took it out.

#[path = "../../../crates/hakmem-core/tests/common/mod.rs"]
mod books;

use crate::blocks::{Block, Ranges, expect_zeroes};
use crate::calls;
use crate::fake;
use crate::program::{Big, Call, Op, SLOTS, Step};
use crate::settings;
use hakmem_alloc::Hakmem;
use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large_cache, slabs};
use hakmem_core::base::accounting;
use hakmem_core::base::demand;
use hakmem_core::debug;
use hakmem_core::reclaim::{self, limits, purge, purge_lock};
use hakmem_core::scavenger;
use hakmem_core::{heap, stats};
use hakmem_os::task::Memory;
use std::alloc::Layout;
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Bytes and blocks that a program may have at one time.
const MOST_BYTES: usize = 32 << 20;
/// Bytes that one step allocates at most, unless it allocates a single block: touching memory takes the most time.
const MOST_AT_ONCE: usize = 3 << 20;
const MOST_IN_A_SLOT: usize = 700;

/// Every machine has this much: a smaller size or alignment is refused only where a limit is set or system calls fail.
const SURE_SIZE: usize = MOST_BYTES;
const SURE_ALIGN: usize = 4 << 20;

/// The memory of this process by way of the kernel, as the scavenger has it.
static MEMORY: OnceLock<Option<Memory>> = OnceLock::new();

/// The block that the function for pressure frees.
static SPARE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// The function for pressure: it frees what it can and uses the allocator itself.
fn relieve(_used: usize, _limit: usize) {
    let block = heap::allocate(100);
    // SAFETY: null or a live block; and the one that whoever swaps it out has.
    unsafe {
        heap::free(block);
        heap::free(SPARE.swap(ptr::null_mut(), AcqRel));
    }
}

pub struct World {
    slots: [Mutex<Vec<Block>>; SLOTS],
    /// Where blocks lie. `None` where workers run at the same time: they would wait for each other.
    ranges: Option<Mutex<Ranges>>,
    /// Usable bytes of all blocks.
    bytes: AtomicUsize,
    /// Whether memory may be used up.
    excused: AtomicBool,
    seed: AtomicU8,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(free_running: bool) -> World {
        fake::install();
        settings::reset();
        World {
            slots: [const { Mutex::new(Vec::new()) }; SLOTS],
            ranges: (!free_running).then(Mutex::default),
            bytes: AtomicUsize::new(0),
            excused: AtomicBool::new(false),
            seed: AtomicU8::new(0),
        }
    }

    /// Carries out a step.
    pub fn perform(&self, step: &Step) {
        match step.op {
            Op::Allocate { slot, call, size, count } => {
                let most = (MOST_AT_ONCE / size.max(1)).max(1);
                (0..count.min(most)).for_each(|_| self.allocate(slot, call, size));
            }
            Op::Reallocate { slot, size, align } => self.change(slot, size, |block| {
                let align = align.min(1 << block.at.addr().trailing_zeros());
                // SAFETY: a live block, forgotten unless null comes back.
                Some((unsafe { calls::reallocate(block.at, size, align) }, align, None))
            }),
            Op::Resize { slot, size: 0 } => self.take(slot, 1).into_iter().for_each(|block| self.free(block)),
            Op::Resize { slot, size } => self.change(slot, size, |block| {
                // SAFETY: as above.
                Some((unsafe { calls::resize(block.at, size) }, 1, None))
            }),
            Op::RustReallocate { slot, size } => self.change(slot, size, |block| {
                let layout = block.layout?;
                // SAFETY: as above, with the layout it has.
                let at = unsafe { calls::rust_reallocate(block.at, layout, size) }?;
                Some((at, layout.align(), Layout::from_size_align(size, layout.align()).ok()))
            }),
            Op::Free { slot, count } => self.take(slot, count).into_iter().rev().for_each(|block| self.free(block)),
            Op::FreeAll { slot } => self.take(slot, usize::MAX).into_iter().for_each(|block| self.free(block)),
            Op::FreeEach { slot, nth } => {
                for (at, block) in self.take(slot, usize::MAX).into_iter().enumerate() {
                    if at % nth == 0 { self.free(block) } else { lock(&self.slots[slot]).push(block) }
                }
            }
            Op::Look { slot } => self.look(slot),
            Op::Move { slot } => self.move_what_is_worth_it(slot),
            Op::GiveBack(what) => give_back(what),
            Op::Limit { soft, hard } => self.limit(soft, hard),
            Op::Set { number, level } => settings::set(number, level),
            Op::Fail { after, times, kinds } => {
                self.excused.store(true, Relaxed);
                fake::fail(after, times, kinds);
            }
            Op::Heal => fake::heal(),
            Op::Tick { ms, micros } => fake::tick(ms, micros),
            Op::Pressure { size } => self.register(size),
            // The crew carries these out.
            Op::Leave | Op::Check => {}
        }
    }

    /// Takes the last blocks of a slot.
    fn take(&self, slot: usize, count: usize) -> Vec<Block> {
        let mut blocks = lock(&self.slots[slot]);
        let first = blocks.len().saturating_sub(count);
        blocks.split_off(first)
    }

    /// Whether the program may have this many more bytes. A size that no machine has is always asked for.
    fn may_ask_for(&self, size: usize) -> bool {
        size > 1 << 38 || self.bytes.load(Relaxed) + size <= MOST_BYTES
    }

    /// Panics if the call must not return null.
    fn expect_reason_for_null(&self, size: usize, align: usize) {
        let excused = self.excused.load(Relaxed) || size > SURE_SIZE || align > SURE_ALIGN;
        assert!(excused, "null for {size} bytes at a multiple of {align}, and nothing is wrong");
    }

    /// Records a block, which must be as it was asked for.
    fn admit(&self, at: *mut u8, size: usize, align: usize, layout: Option<Layout>) -> Block {
        assert!((at as usize).is_multiple_of(align), "{size} bytes at {at:?}, no multiple of {align}");
        let usable = heap::usable_size(at).expect("a block");
        assert!(usable >= size, "{usable} usable bytes of {size}");
        if let Some(ranges) = &self.ranges {
            lock(ranges).add(at as usize, usable);
        }
        self.bytes.fetch_add(usable, Relaxed);
        Block::new(at, size, usable, layout, self.seed.fetch_add(1, Relaxed))
    }

    /// Removes the record of a block that is about to be freed or moved, and checks its contents.
    fn dismiss(&self, block: &Block) {
        block.check();
        if let Some(ranges) = &self.ranges {
            lock(ranges).remove(block.at as usize);
        }
        self.bytes.fetch_sub(block.usable, Relaxed);
    }

    fn allocate(&self, slot: usize, call: Call, size: usize) {
        if !self.may_ask_for(size) || lock(&self.slots[slot]).len() >= MOST_IN_A_SLOT {
            return;
        }
        let Some(at) = calls::allocate(call, size) else { return };
        let align = calls::alignment(call, size);
        if at.is_null() {
            return self.expect_reason_for_null(size, align);
        }
        let layout = match call {
            Call::Zeroed => {
                // All usable bytes are zero.
                expect_zeroes(at, heap::usable_size(at).expect("a block"));
                None
            }
            Call::RustZeroed(align) => {
                expect_zeroes(at, size);
                Some(align)
            }
            Call::Rust(align) => Some(align),
            _ => None,
        };
        let layout = layout.and_then(|align| Layout::from_size_align(size, align).ok());
        let block = self.admit(at, size, align, layout);
        lock(&self.slots[slot]).push(block);
    }

    /// Changes the size of the last block of a slot with `call`, which says where it is now, its alignment and its
    /// layout.
    fn change(&self, slot: usize, size: usize, call: impl FnOnce(&Block) -> Option<(*mut u8, usize, Option<Layout>)>) {
        if !self.may_ask_for(size) {
            return;
        }
        let Some(block) = lock(&self.slots[slot]).pop() else { return };
        self.dismiss(&block);
        let Some((at, align, layout)) = call(&block) else {
            let block = self.admit(block.at, block.size, 1, block.layout);
            return lock(&self.slots[slot]).push(block);
        };
        let changed = if at.is_null() {
            self.expect_reason_for_null(size, align);
            // The block is unchanged.
            block.check();
            self.admit(block.at, block.size, 1, block.layout)
        } else {
            block.check_at(at, block.size.min(size));
            self.admit(at, size, align.max(calls::usual_alignment(size)), layout)
        };
        lock(&self.slots[slot]).push(changed);
    }

    fn free(&self, block: Block) {
        self.dismiss(&block);
        // SAFETY: a live block, of which this was the only record.
        unsafe { calls::free(block.at, block.layout) };
    }

    fn look(&self, slot: usize) {
        static NOT_OURS: u64 = 0;
        let blocks = self.take(slot, usize::MAX);
        for block in &blocks {
            block.check();
            assert_eq!(heap::usable_size(block.at), Some(block.usable));
        }
        lock(&self.slots[slot]).extend(blocks);
        for stranger in [ptr::null(), (&raw const NOT_OURS).cast()] {
            assert_eq!(heap::usable_size(stranger), None);
            assert!(!heap::worth_moving(stranger));
        }
        // SAFETY: null is ignored.
        unsafe { calls::free(ptr::null_mut(), None) };
    }

    fn move_what_is_worth_it(&self, slot: usize) {
        for block in self.take(slot, usize::MAX) {
            let align = block.layout.map_or(calls::usual_alignment(block.size), |layout| layout.align());
            let new =
                if heap::worth_moving(block.at) { heap::allocate_aligned(block.size, align) } else { ptr::null_mut() };
            if new.is_null() {
                lock(&self.slots[slot]).push(block);
                continue;
            }
            let moved = self.admit(new, block.size, align, block.layout);
            self.free(block);
            lock(&self.slots[slot]).push(moved);
        }
    }

    fn limit(&self, soft: usize, hard: usize) {
        let above = |bytes: usize| if bytes == 0 { 0 } else { accounting::used() + bytes };
        if hard != 0 {
            self.excused.store(true, Relaxed);
        }
        Hakmem.set_limits(above(soft), above(hard));
    }

    fn register(&self, size: usize) {
        if size == 0 {
            assert!(Hakmem.on_pressure(None) || self.excused.load(Relaxed));
            return;
        }
        let spare = heap::allocate(size);
        if spare.is_null() {
            return self.expect_reason_for_null(size, 1);
        }
        // SAFETY: null, or the block before, which is in no other hands.
        unsafe { heap::free(SPARE.swap(spare, AcqRel)) };
        assert!(Hakmem.on_pressure(Some(relieve)) || self.excused.load(Relaxed));
    }

    fn blocks(&self) -> u64 {
        let spare = u64::from(!SPARE.load(Acquire).is_null());
        self.slots.iter().map(|slot| lock(slot).len() as u64).sum::<u64>() + spare
    }

    /// Checks the rules that hold while no thread is in the allocator.
    pub fn check(&self) {
        let blocks = self.blocks();
        match debug::validate() {
            Ok(live) => assert!(live <= blocks, "{live} small blocks live of {blocks}"),
            Err(fault) => panic!("{fault:x?}"),
        }
        let totals = stats::totals();
        assert_eq!(totals.allocations - totals.frees, blocks, "blocks allocated and not freed");
        books::check_counters();
        if accounting::limits().1 == accounting::UNLIMITED && !fake::is_ill() {
            self.excused.store(false, Relaxed);
        }
    }

    /// Ends the program after the other threads ended: all of its memory goes back.
    pub fn finish(&self) {
        fake::heal();
        assert!(Hakmem.set_limits(0, 0) && Hakmem.on_pressure(None));
        // SAFETY: null, or a block that is in no other hands.
        unsafe { heap::free(SPARE.swap(ptr::null_mut(), AcqRel)) };
        for slot in 0..SLOTS {
            self.take(slot, usize::MAX).into_iter().for_each(|block| self.free(block));
        }
        settings::reset();
        heap::collect();
        slabs::purge(Purge::All);
        large_cache::unmap(Purge::All);
        self.check();
        let totals = stats::totals();
        assert_eq!((totals.live_bytes, totals.cached_bytes, totals.segments), (0, 0, 0), "{totals:?}");
        assert_eq!(totals.mapped_bytes, totals.metadata_bytes, "{totals:?}");
    }
}

fn give_back(what: Big) {
    match what {
        Big::Collect => heap::collect(),
        Big::Trim => {
            heap::trim();
        }
        Big::All => {
            purge::purge_everything();
        }
        Big::Aged => {
            if let Some(_turn) = purge_lock::take() {
                slabs::purge(Purge::Aged);
                large_cache::unmap(Purge::Aged);
            }
        }
        Big::Scavenge => {
            if let Some(lock) = purge_lock::take() {
                if reclaim::answer_holding(&lock, demand::TIME) {
                    heap::open_holes(false);
                }
                scavenger::empty_idle_heaps(MEMORY.get_or_init(Memory::open).as_ref(), false);
            }
        }
        Big::Gaps => heap::open_holes(true),
        Big::Limits => {
            limits::read();
            if let Some(_turn) = purge_lock::take() {
                limits::enforce();
            }
            heap::answer_demand();
        }
    }
}
