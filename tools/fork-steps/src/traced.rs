//! The process that is stepped through: one thread works, another one forks when it is told to.
//!
//! # Safety
//! The unsafe code makes system calls with arguments of its own.

use crate::child::{self, Task, Way};
use crate::clock;
use crate::scenarios::{Scenario, Stepped, World, live_on};
use crate::words::Words;
use hakmem_core::{heap, process};
use std::hint::black_box;
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::{mem, ptr};

/// A pipe.
#[derive(Clone, Copy)]
pub struct Pipe {
    from: RawFd,
    to: RawFd,
}

impl Pipe {
    /// Makes one.
    pub fn new() -> Pipe {
        let mut ends = [0; 2];
        // SAFETY: writes the two numbers.
        assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0, "a pipe");
        Pipe { from: ends[0], to: ends[1] }
    }

    /// Sends a number.
    pub fn send(self, number: i32) {
        // SAFETY: reads the number.
        let sent = unsafe { libc::write(self.to, (&raw const number).cast(), mem::size_of::<i32>()) };
        assert_eq!(sent, 4, "the other end is open");
    }

    /// Waits for a number; `None` when the other process has ended.
    pub fn receive(self) -> Option<i32> {
        let mut number = 0_i32;
        // SAFETY: writes the number.
        let got = unsafe { libc::read(self.from, (&raw mut number).cast(), mem::size_of::<i32>()) };
        (got == 4).then_some(number)
    }

    /// Closes the end that the process does not use.
    pub fn only(self, sends: bool) {
        // SAFETY: not used in this process again.
        unsafe { libc::close(if sends { self.from } else { self.to }) };
    }
}

/// What the tracer and the process tell each other.
#[derive(Clone, Copy)]
pub struct Line {
    /// To the thread that is stepped through: begin.
    pub go: Pipe,
    /// To the thread that forks, or looks at the end.
    pub order: Pipe,
    /// From the process: the number of the thread, then the answer to each order, or how a child of a signal handler ended.
    pub answer: Pipe,
}

/// Orders to the thread that forks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Order {
    /// Make a child, and say how it ended.
    Fork,
    /// Say whether the steps led where they were to lead.
    Look,
}

/// How a run makes and tries children.
#[derive(Clone, Copy)]
pub struct Trial {
    /// How.
    pub way: Way,
    /// Whether the stepped thread itself makes them, in a signal handler.
    pub in_handler: bool,
    /// Seconds until a child counts as hanging.
    pub patience: u32,
}

/// Where stepping begins, and where the tracer has to act: it takes the signal.
fn halt() {
    // SAFETY: a signal to this thread, which the tracer does not pass on.
    unsafe { libc::raise(libc::SIGTRAP) };
}

/// Where stepping ends: the tracer knows the function by its address.
#[inline(never)]
pub fn end() {
    black_box(());
}

/// The signal that the tracer delivers to the stepped thread where that is to fork in a handler.
pub const FORK_HERE: i32 = libc::SIGUSR1;

/// What the handler has to know, set before the first signal.
static TASK: OnceLock<(Line, Task)> = OnceLock::new();
/// Whether this is the child that a handler made.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Runs the scenario in this process, which is a fresh fork of the tracer.
pub fn run(scenario: &'static Scenario, trial: Trial, line: Line, words: &'static Words) -> ! {
    // SAFETY: the process ends with its parent, and leaves no file when a child crashes.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
    line.go.only(false);
    line.order.only(false);
    line.answer.only(true);
    let task = Task { way: trial.way, words, sizes: scenario.sizes, patience: trial.patience };
    let _ = TASK.set((line, task));
    let scavenged = scenario.settings.iter().any(|setting| setting.to_bytes().starts_with(b"HAKMEM_SCAVENGE_FROM="));
    let settings = scenario.settings.iter().map(|setting| setting.as_ptr());
    let scavenger = (!scavenged).then_some(c"HAKMEM_SCAVENGER=0".as_ptr());
    // Nothing that happens here is misuse.
    let on_misuse = Some(c"HAKMEM_ON_MISUSE=abort".as_ptr());
    let environment: Vec<_> = on_misuse.into_iter().chain(scavenger).chain(settings).chain([ptr::null()]).collect();
    clock::start();
    // SAFETY: a terminated array of terminated strings, which outlive the call.
    unsafe { process::begin(environment.as_ptr()) };
    // The thread that forks has a heap of its own, in which blocks came and went.
    let block = heap::allocate(64);
    // SAFETY: a live block.
    unsafe { heap::free(block) };
    if trial.in_handler {
        // SAFETY: zero is a valid action; the handler is one for such a signal.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = fork_in_handler as extern "C" fn(i32) as usize;
            libc::sigaction(FORK_HERE, &action, ptr::null_mut());
        }
    }
    thread::spawn(move || {
        let mut world = World::default();
        (scenario.prepare)(&mut world);
        // SAFETY: no arguments.
        line.answer.send(unsafe { libc::gettid() });
        line.go.receive();
        halt();
        (scenario.act)(&mut world);
        // What follows is the end of the thread, its last functions, its heap's way to the pool.
        if scenario.ends {
            mem::forget(world);
            return;
        }
        if IS_CHILD.load(Relaxed) {
            heap::collect();
            child::try_heap(&task);
        }
        if let Stepped::Scavenger(_) = scenario.stepped {
            halt();
        }
        end();
        live_on();
    });
    while let Some(order) = line.order.receive() {
        line.answer.send(match order {
            order if order == Order::Fork as i32 => try_child(&task, || child::try_heap(&task)),
            _ => i32::from((scenario.reached)()),
        });
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// Makes a child that tries its heap, in the middle of what this thread was doing. The child uses its heap at once, then ends what the
/// thread was doing, and tries all of its heap.
extern "C" fn fork_in_handler(_: i32) {
    let Some((line, task)) = TASK.get() else { return };
    let mut is_child = false;
    let status = try_child(task, || {
        child::use_heap(task);
        is_child = true;
    });
    if is_child {
        extern "C" fn last() {
            if let Some((_, task)) = TASK.get() {
                child::try_heap(task);
            }
        }
        IS_CHILD.store(true, Relaxed);
        // Where the thread ends, it is the last one.
        // SAFETY: the function lives as long as the program.
        unsafe { libc::atexit(last) };
    } else {
        line.answer.send(status);
        halt();
    }
}

/// Makes a child that does `work`; how it ended, as `waitpid` says it, and in the child 0 if it goes on.
fn try_child(task: &Task, work: impl FnOnce()) -> i32 {
    // SAFETY: the child makes no use of what other threads may have held, but for libc's means to start threads, which the stepped
    // thread is not in the middle of when it stands in code of this program.
    let child = unsafe {
        match task.way {
            Way::Fork => libc::fork(),
            Way::Clone => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t,
        }
    };
    assert_ne!(child, -1, "a child");
    if child == 0 {
        work();
        return 0;
    }
    let mut status = 0;
    // SAFETY: writes the status.
    while unsafe { libc::waitpid(child, &mut status, 0) } != child {}
    status
}
