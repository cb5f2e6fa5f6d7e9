//! What a forked child does to find out whether its heap is sound.
//!
//! It makes no use of Rust's own allocator, which is libc's here: only the heap that is tried.
//!
//! # Safety
//! Blocks are touched between the call that allocates them and the one that frees them, within their length. Each thread writes
//! its own [`Hands`], and others read them when it has ended.

use crate::blocks;
use crate::words::Words;
use hakmem_core::backend::{availability, large_cache, slabs};
use hakmem_core::base::sizes::SLAB;
use hakmem_core::base::wake_up;
use hakmem_core::debug;
use hakmem_core::heap;
use hakmem_os::helper;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

/// How a child is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// By `fork`, which calls the allocator's handler.
    Fork,
    /// By a bare system call, of which the allocator is not told.
    Clone,
}

/// A few blocks of everything there is, so that each kind of span and mapping is made and released.
const SIZES: &[usize] = &[8, 24, 128, 1000, 5000, 32_000, 40_000, 200_000, 1_500_000];
const FEW: usize = 3;
/// Bytes that are allocated of each size that the scenario is about: enough to use up a bin and a run.
const MANY_BYTES: usize = 160 << 10;
const MOST: usize = 6000;

/// Blocks of one thread.
struct Hands<const MOST: usize> {
    blocks: UnsafeCell<[(usize, usize); MOST]>,
    count: UnsafeCell<usize>,
}

// SAFETY: the module's doc says who uses them when.
unsafe impl<const MOST: usize> Sync for Hands<MOST> {}

static HANDS: [Hands<MOST>; 3] =
    [const { Hands { blocks: UnsafeCell::new([(0, 0); MOST]), count: UnsafeCell::new(0) } }; 3];
/// Everything that is live, to be sorted.
static ALL: Hands<{ 5 * MOST }> = Hands { blocks: UnsafeCell::new([(0, 0); 5 * MOST]), count: UnsafeCell::new(0) };

/// What a child is told.
#[derive(Clone, Copy)]
pub struct Task {
    /// How it was made.
    pub way: Way,
    /// Where it says what is wrong.
    pub words: &'static Words,
    /// The sizes that the scenario is about.
    pub sizes: &'static [usize],
    /// Seconds until it counts as hanging.
    pub patience: u32,
}

/// What the threads of a child are told.
struct Together<'a> {
    task: &'a Task,
    barrier: UnsafeCell<MaybeUninit<libc::pthread_barrier_t>>,
}

/// Ends the child: its heap is not sound.
macro_rules! fail {
    ($words:expr, $($text:tt)*) => {{
        $words.say(format_args!($($text)*));
        give_up()
    }};
}

fn give_up() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(1) }
}

impl<const MOST: usize> Hands<MOST> {
    #[expect(clippy::mut_from_ref, reason = "one thread at a time has them: see the module's doc")]
    fn get(&self) -> (&mut [(usize, usize); MOST], &mut usize) {
        // SAFETY: the module's doc.
        unsafe { (&mut *self.blocks.get(), &mut *self.count.get()) }
    }

    fn add(&self, block: (usize, usize)) {
        let (blocks, count) = self.get();
        if *count < MOST {
            blocks[*count] = block;
            *count += 1;
        }
    }

    /// Allocates blocks of all kinds, most of the sizes that the scenario is about.
    fn allocate(&self, words: &Words, sizes: &[usize]) {
        let few = SIZES.iter().map(|size| (*size, FEW));
        let many = sizes.iter().map(|size| (*size, (MANY_BYTES / size).clamp(3, 1500)));
        for (size, count) in many.chain(few) {
            for _ in 0..count {
                let block = heap::allocate(size);
                if block.is_null() {
                    fail!(words, "no memory for {size} bytes");
                }
                let usable = heap::usable_size(block);
                if usable.is_none_or(|usable| usable < size) {
                    fail!(words, "a new block of {size} bytes has a usable size of {usable:?}");
                }
                blocks::fill(block as usize, size);
                self.add((block as usize, size));
            }
        }
    }

    /// Frees every `step`th block, beginning with the first.
    fn free(&self, words: &Words, step: usize) {
        let (blocks, count) = self.get();
        let mut kept = 0;
        for at in 0..*count {
            if at % step == 0 {
                free(words, blocks[at], "a block of the child");
            } else {
                blocks[kept] = blocks[at];
                kept += 1;
            }
        }
        *count = kept;
    }
}

fn free(words: &Words, (address, size): (usize, usize), whose: &str) {
    if !blocks::is_as_filled(address, size) {
        fail!(words, "{whose} of {size} bytes has other contents than it was filled with");
    }
    // SAFETY: a live block, which the caller forgets.
    unsafe { heap::free(address as *mut u8) };
}

/// Tries the heap, and ends the process: with 0 if it is sound.
pub fn try_heap(task: &Task) -> ! {
    let Task { way, words, sizes, patience } = *task;
    // SAFETY: ends this process if it hangs.
    unsafe { libc::alarm(patience) };
    // A heap that does not validate is used all the same: what comes of it tells how bad it is.
    let was_sound = way == Way::Clone || is_valid(words, "at once");
    HANDS[0].allocate(words, sizes);
    on_threads(task);
    look_for_overlap(words, "after the first blocks");
    for block in blocks::take_every_other() {
        free(words, block, "a block of the thread that is gone");
    }
    HANDS.iter().for_each(|hands| hands.free(words, 2));
    HANDS[0].allocate(words, sizes);
    on_threads(task);
    look_for_overlap(words, "after the second blocks");
    HANDS.iter().for_each(|hands| hands.free(words, 1));
    heap::trim();
    look_for_overlap(words, "after a trim");
    if !is_valid(words, "at last") || !was_sound {
        give_up();
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// Uses the heap in a signal handler, which returns to where it may be half changed: so it is not validated.
pub fn use_heap(task: &Task) {
    // SAFETY: ends this process if it hangs.
    unsafe { libc::alarm(task.patience) };
    HANDS[0].allocate(task.words, &[]);
    on_threads(&Task { sizes: &[], ..*task });
    look_for_overlap(task.words, "in the handler");
    HANDS.iter().for_each(|hands| hands.free(task.words, 2));
}

fn is_valid(words: &Words, when: &str) -> bool {
    // It must not be at work meanwhile. The child is asked again at the end, when it may have one of its own.
    if !wake_up::without_scavenger(|| helper::is_over(0), |over| over) {
        fail!(words, "the scavenger does not end");
    }
    let fault = debug::validate().err().map(|fault| fault.what);
    let miscounted = || {
        let (kept, slabs) = (
            large_cache::extent().kept == large_cache::count_kept(),
            availability::dirty() * SLAB == slabs::extent().dirty,
        );
        let counts = [(kept, "kept mappings are counted"), (slabs, "slabs that hold old contents are counted")];
        counts.into_iter().find_map(|(right, what)| (!right).then_some(what))
    };
    let fault = fault.or_else(miscounted);
    if let Some(fault) = fault {
        words.say(format_args!("validate, {when}: {fault}; "));
    }
    fault.is_none()
}

/// Lets two threads allocate, which both have a heap at the same time.
fn on_threads(task: &Task) {
    extern "C" fn run<const HAND: usize>(together: *mut c_void) -> *mut c_void {
        // SAFETY: it outlives the threads, which are waited for.
        let together = unsafe { &*together.cast::<Together<'_>>() };
        HANDS[HAND].allocate(together.task.words, together.task.sizes);
        // SAFETY: initialised for two threads, which both come here.
        unsafe { libc::pthread_barrier_wait(together.barrier.get().cast()) };
        ptr::null_mut()
    }
    let together = Together { task, barrier: UnsafeCell::new(MaybeUninit::zeroed()) };
    // SAFETY: the barrier is for two threads, which are waited for before it goes.
    unsafe {
        libc::pthread_barrier_init(together.barrier.get().cast(), ptr::null(), 2);
        let argument = ptr::from_ref(&together).cast_mut().cast::<c_void>();
        let threads = [run::<1> as extern "C" fn(*mut c_void) -> *mut c_void, run::<2>].map(|run| {
            let mut thread = 0;
            if libc::pthread_create(&mut thread, ptr::null(), run, argument) != 0 {
                fail!(task.words, "no thread");
            }
            thread
        });
        for thread in threads {
            libc::pthread_join(thread, ptr::null_mut());
        }
    }
}

/// Fails if two live blocks overlap, or the contents of one changed.
fn look_for_overlap(words: &Words, when: &str) {
    let (all, count) = ALL.get();
    *count = 0;
    blocks::live().for_each(|block| ALL.add(block));
    for hands in &HANDS {
        let (blocks, count) = hands.get();
        blocks[..*count].iter().for_each(|block| ALL.add(*block));
    }
    let all = &mut all[..*count];
    all.sort_unstable();
    if let Some(pair) = all.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
        fail!(words, "{when}: blocks of {} and {} bytes overlap", pair[0].1, pair[1].1);
    }
    if let Some((_, size)) = all.iter().find(|(address, size)| !blocks::is_as_filled(*address, *size)) {
        fail!(words, "{when}: the contents of a block of {size} bytes changed");
    }
}
