//! Models: the words that threads share, as the model checker `loom` sees them. Compiled under `cfg(loom)` only.
//!
//! loom has atomics of its own, which are larger, cannot be made in a constant and are not valid as zero bytes. So each word
//! keeps its place and its size here, and its address names a loom atomic that stands for it in the execution at hand: made when
//! the word is first used, with the value that is in memory, which never changes. Statics and descriptors made of zero bytes
//! therefore work as they are, and each execution begins anew. Plain memory, cells and links in free blocks, is really written,
//! and its address names a loom cell that notices when two threads touch it without an order between them.
//!
//! loom wants the making of an atomic to come before each use of it, in the sense of the memory model. A word that was there
//! before the threads began is therefore made before they begin: a first run, one thread after the other and without loom's
//! atomics, learns which words there are. A word in memory that is mapped later is made by the thread that maps it, and must be
//! handed to other threads properly: loom says so where it is not.
//!
//! The kernel is a fake one: memory comes from one range, address by address, and none is used twice in an execution, so that
//! touching what was unmapped is noticed.
//!
//! # Safety
//! loom runs the threads of a model in turn on one real thread, so what is in `WORLD` is never used by two at once. The wrappers
//! are transparent, so a reference to one is one to the word of `core` inside.

mod fake;
mod futex;
pub mod slot;
mod words;

use crate::kernel;
use core::ptr;
use core::sync::atomic as plain;
use core::sync::atomic::Ordering;
use loom::sync::atomic as modelled;
use loom::thread::ThreadId;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::eprintln;
use std::ops::Range;
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
    /// An execution.
    Exploring,
}

/// Bytes of the range that a model maps memory from.
const ARENA: usize = 256 << 20;
const SEGMENT: usize = 2 << 20;

/// A word that was there before the threads began: its value then, and how to make loom's atomic for it, or put the value back.
#[derive(Clone, Copy)]
struct Known {
    make: fn(usize),
    put_back: fn(usize, u64),
    value: u64,
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
    slots: HashMap<ThreadId, usize>,
    at_exit: Option<unsafe extern "C" fn(*mut core::ffi::c_void)>,
    arena: usize,
    /// Where the next mapping is.
    top: usize,
    /// What was mapped before the first thread began.
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
            slots: HashMap::new(),
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
        self.slots.clear();
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
    }
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
        world(|world| world.begin(Mode::Learning));
        learn();
    });
    // What threads mapped themselves is made when they map it.
    let sealed = world(|world| {
        world.mode = Mode::Plain;
        let arena = world.arena..world.arena + ARENA;
        for (&address, known) in world.known.iter().filter(|(address, _)| !arena.contains(address)) {
            (known.put_back)(address, known.value);
        }
        world.sealed.unwrap_or(world.top)..arena.end
    });
    let count = Arc::new(plain::AtomicUsize::new(0));
    let counted = count.clone();
    let bound = builder.preemption_bound;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        world(|world| world.begin(Mode::Exploring));
        make_known(|address| !sealed.contains(&address));
        run();
    });
    world(|world| world.mode = Mode::Plain);
    let (count, bound) = (count.load(Ordering::Relaxed), bound.unwrap_or(usize::MAX));
    eprintln!("{name}: {count} executions explored, at most {bound} preemptions each");
}

/// Makes the words that are known to be at these addresses.
fn make_known(wanted: impl Fn(usize) -> bool) {
    let known: Vec<_> = world(|world| world.known.iter().map(|(address, known)| (*address, known.make)).collect());
    known.into_iter().filter(|(address, _)| wanted(*address)).for_each(|(address, make)| make(address));
}

/// Starts a thread of a model.
pub fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> Thread<T> {
    world(|world| {
        world.sealed = world.sealed.or(Some(world.top));
        world.running += 1;
    });
    Thread(loom::thread::spawn(run))
}

/// A thread of a model.
pub struct Thread<T>(loom::thread::JoinHandle<T>);

impl<T> Thread<T> {
    /// Waits for its end; what it returned.
    pub fn join(self) -> T {
        let result = self.0.join().expect("no panic");
        world(|world| world.running -= 1);
        result
    }
}

/// Runs a thread to its end, while there is no other: a part of what comes before a model's own threads.
pub fn run_apart(run: impl FnOnce() + 'static) {
    loom::thread::spawn(run).join().expect("no panic");
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
