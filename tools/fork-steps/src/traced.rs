//! The process that is stepped through: one thread works, another one forks when it is told to.
//!
//! # Safety
//! The unsafe code makes system calls with arguments of its own.

use crate::child::{self, Way};
use crate::clock;
use crate::scenarios::{Scenario, World, live_on};
use crate::words::Words;
use hakmem_core::{heap, process};
use std::hint::black_box;
use std::os::fd::RawFd;
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
    /// To the thread that forks: do so.
    pub fork: Pipe,
    /// From the process: the number of the thread, then how each child ended.
    pub answer: Pipe,
}

/// Where stepping begins: the tracer takes the signal.
fn begin() {
    // SAFETY: a signal to this thread, which the tracer does not pass on.
    unsafe { libc::raise(libc::SIGTRAP) };
}

/// Where stepping ends: the tracer knows the function by its address.
#[inline(never)]
pub fn end() {
    black_box(());
}

/// Runs the scenario in this process, which is a fresh fork of the tracer.
pub fn run(scenario: &'static Scenario, way: Way, line: Line, words: &'static Words, patience: u32) -> ! {
    // SAFETY: the process ends with its parent, and leaves no file when a child crashes.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
    line.go.only(false);
    line.fork.only(false);
    line.answer.only(true);
    let settings = scenario.settings.iter().map(|setting| setting.as_ptr());
    let environment: Vec<_> =
        [c"HAKMEM_SCAVENGER=0".as_ptr()].into_iter().chain(settings).chain([ptr::null()]).collect();
    clock::start();
    // SAFETY: a terminated array of terminated strings, which outlive the call.
    unsafe { process::begin(environment.as_ptr()) };
    // The thread that forks has a heap of its own, in which blocks came and went.
    let block = heap::allocate(64);
    // SAFETY: a live block.
    unsafe { heap::free(block) };
    thread::spawn(move || {
        let mut world = World::default();
        (scenario.prepare)(&mut world);
        // SAFETY: no arguments.
        line.answer.send(unsafe { libc::gettid() });
        line.go.receive();
        begin();
        (scenario.act)(&mut world);
        // What follows is the end of the thread, its last functions, its heap's way to the pool.
        if scenario.ends {
            mem::forget(world);
            return;
        }
        end();
        live_on();
    });
    while line.fork.receive().is_some() {
        line.answer.send(child::make(way, words, scenario.sizes, patience));
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}
