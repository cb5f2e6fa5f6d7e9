//! Models: the words that threads share, as the model checker `loom` sees them. Compiled under `cfg(loom)` only.
//!
//! loom has atomics of its own, which are larger, cannot be made in a constant and are not valid as zero bytes. So each word
//! keeps its place and its size here. While there is one thread only, before a model's threads begin and after they ended, words are what
//! they are in memory. When the first thread begins, loom's atomics are made for them, with the values that are in memory; until the
//! last one has ended the address of a word names its atomic, and then the values are written back. Statics and descriptors made of
//! zero bytes therefore work as they are; each execution puts back what it found. Plain memory, cells and links in free blocks, is really
//! written, and its address names a loom cell that notices when two threads touch it without an order between them.
//!
//! loom wants the making of an atomic to come before each use of it, in the sense of the memory model. So it must be known, when the
//! threads begin, which words there are: a first run, one thread after the other and without loom's atomics, learns that.
//! A word in memory that is mapped later is made by the thread that maps it, and must be
//! handed to other threads properly: loom says so where it is not.
//!
//! The kernel is a fake one: memory comes from one range, address by address, and none is used twice in an execution, so that
//! touching what was unmapped is noticed. What it knows about threads is in `task`.
//!
//! # Safety
//! loom runs the threads of a model in turn on one real thread, so what is in `WORLD` is never used by two at once. The wrappers
//! are transparent, so a reference to one is one to the word of `core` inside.

mod fake;
mod futex;
pub mod slot;
pub mod task;
mod words;

use crate::kernel;
use core::mem;
use core::ptr;
use core::sync::atomic as plain;
use core::sync::atomic::Ordering;
use loom::sync::atomic as modelled;
use loom::thread::ThreadId;
use std::boxed::Box;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::eprintln;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

pub use loom::thread::yield_now;
pub use words::{
    AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Cell, compiler_fence, fence, note_read,
    note_write,
};

pub(crate) use futex::futex;

/// What the real thread is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Something outside of a model: words are what they are in memory.
    Plain,
    /// The run that learns which words there are, in memory too.
    Learning,
    /// A part of an execution in which there is one thread only: before the others begin, and after they ended. In memory too.
    Alone,
    /// The part of an execution in which several threads run.
    Exploring,
}

/// Bytes of the range that a model maps memory from.
const ARENA: usize = 256 << 20;
const SEGMENT: usize = 2 << 20;

/// A word: its value before anything was done, and how to make loom's atomic for it, or put the value back.
#[derive(Clone, Copy)]
struct Known {
    make: fn(usize, bool),
    put_back: fn(usize, u64),
    value: u64,
    /// Whether any access to it is sequentially consistent: loom then wants the first store to be so too.
    is_strict: bool,
}

struct World {
    mode: Mode,
    bools: HashMap<usize, Rc<modelled::AtomicBool>>,
    u32s: HashMap<usize, Rc<modelled::AtomicU32>>,
    u64s: HashMap<usize, Rc<modelled::AtomicU64>>,
    usizes: HashMap<usize, Rc<modelled::AtomicUsize>>,
    isizes: HashMap<usize, Rc<modelled::AtomicIsize>>,
    /// The threads that loaded a word, and what their loads touch.
    loads: HashMap<usize, Vec<(ThreadId, Rc<loom::sync::Condvar>)>>,
    cells: HashMap<usize, Rc<loom::cell::UnsafeCell<()>>>,
    beds: HashMap<usize, Rc<futex::Bed>>,
    known: BTreeMap<usize, Known>,
    threads: HashMap<ThreadId, slot::Belongings>,
    /// By the numbers of threads, and how many of these began.
    belongings: Vec<slot::Belongings>,
    began: usize,
    at_exit: Option<unsafe extern "C" fn(*mut core::ffi::c_void)>,
    arena: usize,
    /// Where the next mapping is.
    top: usize,
    /// What is mapped from here on was mapped by threads.
    sealed: Option<usize>,
    /// Threads beside the first.
    running: usize,
    unmapped: Vec<Range<usize>>,
    micros: u64,
}

impl World {
    fn new() -> World {
        World {
            mode: Mode::Plain,
            bools: HashMap::new(),
            u32s: HashMap::new(),
            u64s: HashMap::new(),
            usizes: HashMap::new(),
            isizes: HashMap::new(),
            loads: HashMap::new(),
            cells: HashMap::new(),
            beds: HashMap::new(),
            known: BTreeMap::new(),
            threads: HashMap::new(),
            belongings: Vec::new(),
            began: 0,
            at_exit: None,
            arena: 0,
            top: 0,
            sealed: None,
            running: 0,
            unmapped: Vec::new(),
            micros: 0,
        }
    }

    /// Forgets the execution before.
    fn begin(&mut self, mode: Mode) {
        self.mode = mode;
        self.bools.clear();
        self.u32s.clear();
        self.u64s.clear();
        self.usizes.clear();
        self.isizes.clear();
        self.loads.clear();
        self.cells.clear();
        self.beds.clear();
        self.threads.clear();
        self.began = 0;
        self.at_exit = None;
        self.unmapped.clear();
        self.sealed = None;
        self.running = 0;
        self.micros = 0;
        if self.arena == 0 {
            let (protection, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
            // SAFETY: maps what is free.
            let at = unsafe { libc::mmap(ptr::null_mut(), ARENA + SEGMENT, protection, flags, -1, 0) } as usize;
            self.arena = at.next_multiple_of(SEGMENT);
        } else {
            // SAFETY: the arena's own pages, to be zero again.
            unsafe { libc::madvise(self.arena as *mut _, self.top - self.arena, libc::MADV_DONTNEED) };
        }
        self.top = self.arena;
        let arena = self.arena..self.arena + ARENA;
        for (&address, known) in self.known.iter().filter(|(address, _)| !arena.contains(address)) {
            (known.put_back)(address, known.value);
        }
    }
}

/// Begins an execution, or the run that learns.
fn begin_run(mode: Mode) {
    world(|world| world.begin(mode));
    if world(|world| world.belongings.is_empty()) {
        let made: Vec<_> = (1..=loom::MAX_THREADS as u32).map(slot::Belongings::new).collect();
        world(|world| world.belongings = made);
    }
    slot::Belongings::next().give();
}

std::thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fn world<T>(look: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with(|world| look(&mut world.borrow_mut()))
}

fn mode() -> Mode {
    world(|world| world.mode)
}

/// Explores `run`, once for each order that its threads' operations can come in, with at most `preemptions` switches away from a
/// thread that could go on; `LOOM_MAX_PREEMPTIONS` says another number. Prints how many executions there were.
pub fn explore(name: &str, preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    // The run that learns changes statics in memory, and puts them back.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    kernel::replace(Some(&fake::KERNEL));
    let run = Arc::new(run);
    world(|world| world.known.clear());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = builder.max_branches.max(100_000);
    let mut learning = loom::model::Builder::new();
    // One execution: the limits are looked at before each one whose number this divides.
    (learning.checkpoint_interval, learning.max_permutations) = (2, Some(2));
    learning.max_branches = builder.max_branches;
    let learn = run.clone();
    learning.check(move || {
        begin_run(Mode::Learning);
        learn();
    });
    let count = Arc::new(plain::AtomicUsize::new(0));
    let counted = count.clone();
    let bound = builder.preemption_bound;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        begin_run(Mode::Alone);
        run();
    });
    world(|world| world.begin(Mode::Plain));
    let (count, bound) = (count.load(Ordering::Relaxed), bound.unwrap_or(usize::MAX));
    eprintln!("{name}: {count} executions explored, at most {bound} preemptions each");
}

/// Makes the words that are known to be at these addresses.
fn make_known(wanted: impl Fn(usize) -> bool) {
    let known: Vec<_> = world(|world| world.known.iter().map(|(address, known)| (*address, *known)).collect());
    let known = known.into_iter().filter(|(address, _)| wanted(*address));
    known.for_each(|(address, known)| (known.make)(address, known.is_strict));
}

/// From here on several threads run.
fn begin_threads() {
    let threads = world(|world| {
        world.mode = Mode::Exploring;
        world.sealed = Some(world.top);
        world.top..world.arena + ARENA
    });
    make_known(|address| !threads.contains(&address));
}

/// From here on there is one thread again.
fn end_threads() {
    let (bools, u32s, u64s, usizes, isizes) = world(|world| {
        world.mode = Mode::Alone;
        world.sealed = None;
        (world.loads.clear(), world.cells.clear());
        (
            mem::take(&mut world.bools),
            mem::take(&mut world.u32s),
            mem::take(&mut world.u64s),
            mem::take(&mut world.usizes),
            mem::take(&mut world.isizes),
        )
    });
    AtomicBool::write_back(bools);
    AtomicU32::write_back(u32s);
    AtomicU64::write_back(u64s);
    AtomicUsize::write_back(usizes);
    AtomicIsize::write_back(isizes);
}

/// Starts a thread of a model.
pub fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> Thread<T> {
    if mode() == Mode::Alone {
        begin_threads();
    }
    world(|world| world.running += 1);
    Thread(begin(run))
}

/// Does what is to be done in one way only.
pub(crate) fn glance<T>(look: impl FnOnce() -> T) -> T {
    if mode() != Mode::Exploring {
        return look();
    }
    loom::stop_exploring();
    let seen = look();
    loom::explore();
    seen
}

/// What a thread throws that ends before its function does.
struct Ended;

/// Starts a thread that may call [`end_thread`].
pub(crate) fn spawn_until_end(run: impl FnOnce() + 'static) -> Thread<()> {
    spawn(|| {
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(run))
            && !thrown.is::<Ended>()
        {
            resume_unwind(thrown);
        }
    })
}

/// Ends the calling thread.
pub(crate) fn end_thread() -> ! {
    resume_unwind(Box::new(Ended))
}

fn begin<T: 'static>(run: impl FnOnce() -> T + 'static) -> loom::thread::JoinHandle<T> {
    let belongings = slot::Belongings::next();
    loom::thread::spawn(move || {
        belongings.give();
        run()
    })
}

/// A thread of a model.
pub struct Thread<T>(loom::thread::JoinHandle<T>);

impl<T> Thread<T> {
    /// Waits for its end; what it returned.
    pub fn join(self) -> T {
        let result = self.0.join().expect("no panic");
        let is_last = world(|world| {
            world.running -= 1;
            world.running == 0 && world.mode == Mode::Exploring
        });
        if is_last {
            end_threads();
        }
        result
    }
}

/// Runs a thread to its end, while there is no other: a part of what comes before a model's own threads.
pub fn run_apart(run: impl FnOnce() + 'static) {
    begin(run).join().expect("no panic");
}

/// Remembers what a thread calls at its end; a model makes the call.
pub fn at_exit(call: unsafe extern "C" fn(*mut core::ffi::c_void)) {
    world(|world| world.at_exit = Some(call));
}

/// Makes the call that was asked for at the end of this thread.
pub fn exit(value: usize) {
    if let Some(call) = world(|world| world.at_exit) {
        // SAFETY: what was registered, with what it was armed with.
        unsafe { call(value as *mut core::ffi::c_void) };
    }
}
