//! The tracer: steps a thread through a scenario, and has its process fork after each instruction that writes to memory.
//!
//! An instruction that writes nothing leaves a child the same memory as the one before it, so there is no child to try there.
//!
//! # Safety
//! The unsafe code makes system calls with arguments of its own, about a process that this one started and a thread of it that
//! it traces and that stands still.

use crate::blocks;
use crate::scenarios::{Scenario, Stepped};
use crate::stores::Code;
use crate::traced::{self, Line, Order, Pipe, Trial};
use crate::words::Words;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::{io, mem, ptr};

/// An instruction after which a child's heap was not sound.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where the instruction is in this process.
    pub address: u64,
    /// Where the calls that led to it return to, the last one first.
    pub callers: Vec<u64>,
    /// How the child ended, and what it said.
    pub what: String,
}

/// What a run found.
#[derive(Default)]
pub struct Outcome {
    /// Instructions that were stepped over.
    pub steps: usize,
    /// Children that were tried.
    pub children: usize,
    /// Places where they failed.
    pub findings: Vec<Finding>,
    /// Why it did not come to its end.
    pub problem: Option<String>,
}

/// Children that hang cost the most time; so many of them in one scenario are enough.
const HANGING: usize = 2;

/// The stack of the thread, with what lies around it that is its own, is not what children look at.
const OWN_BELOW: u64 = 4096;
const OWN_ABOVE: u64 = 64 << 10;
/// The scavenger begins in the middle of a mapping of its own.
const SCAVENGERS_ABOVE: u64 = 32 << 10;

/// Steps through a scenario. Unless it is to be tried `every_time`, an instruction that is met again and again in the same call is tried
/// the first, second, fourth, eighth, ... time.
pub fn run(scenario: &'static Scenario, trial: Trial, every_time: bool) -> Outcome {
    let words = Words::map();
    let line = Line { go: Pipe::new(), order: Pipe::new(), answer: Pipe::new() };
    // SAFETY: this process has one thread, so its child may do anything.
    let process = unsafe { libc::fork() };
    assert_ne!(process, -1, "a process");
    if process == 0 {
        traced::run(scenario, trial, line, words);
    }
    line.go.only(true);
    line.order.only(true);
    line.answer.only(false);
    let mut outcome = Outcome::default();
    let run = Run { scenario, trial, line, words, every_time };
    if let Err(problem) = run.follow(&mut outcome) {
        outcome.problem = Some(problem);
    }
    // The traced thread has to be waited for, too, or else the process never ends.
    // SAFETY: the process is ours and not waited for yet.
    unsafe {
        libc::kill(process, libc::SIGKILL);
        while !matches!(libc::waitpid(-1, ptr::null_mut(), libc::__WALL), -1) {}
    }
    line.go.only(false);
    line.order.only(false);
    line.answer.only(true);
    outcome
}

/// A process and what is done with it.
struct Run {
    scenario: &'static Scenario,
    trial: Trial,
    line: Line,
    words: &'static Words,
    every_time: bool,
}

/// A thread that stands still at the beginning of what is stepped through.
struct Start {
    thread: libc::pid_t,
    /// How far above its stack pointer lies what is its own.
    own_above: u64,
    /// How often it may fall asleep.
    sleeps: usize,
}

impl Run {
    fn follow(&self, outcome: &mut Outcome) -> Result<(), String> {
        let Start { thread, own_above, mut sleeps } = self.start()?;
        let mut way = Walk::new();
        let mut before = registers(thread)?;
        let own = before.rsp + own_above;
        let mut hanging = 0;
        while before.rip != traced::end as fn() as usize as u64 {
            if way.is_sleep(&before) {
                if sleeps == 1 {
                    break;
                }
                sleeps -= 1;
            }
            let wrote = way.writes(&before, own);
            resume(libc::PTRACE_SINGLESTEP, thread, 0);
            let Some(signal) = stopped(thread)? else { break };
            if signal != libc::SIGTRAP {
                return Err(format!("the thread got signal {signal}"));
            }
            outcome.steps += 1;
            let after = registers(thread)?;
            let is_tried = way.go_on(&before, &after, wrote, self.every_time);
            if is_tried && !(self.trial.in_handler && is_deaf(thread)) {
                let status = if self.trial.in_handler { self.signal(thread)? } else { self.order(Order::Fork)? };
                outcome.children += 1;
                if let Some(what) = complaint(status, self.words) {
                    let callers = way.calls.iter().rev().map(|(back, _)| *back).collect();
                    outcome.findings.push(Finding { address: way.last, callers, what });
                    hanging += usize::from(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM);
                    if hanging == HANGING {
                        return Err("too many children hang".into());
                    }
                }
            }
            before = after;
        }
        match self.order(Order::Look)? {
            0 => Err("the steps did not lead where they were to lead".into()),
            _ => Ok(()),
        }
    }

    /// Traces the thread that runs the scenario, and lets it come to where stepping begins.
    fn start(&self) -> Result<Start, String> {
        let ended = || "the process ended before its thread began".to_string();
        let thread = self.line.answer.receive().ok_or_else(ended)?;
        // SAFETY: a thread of a process of ours.
        if unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0) } != 0 {
            let error = io::Error::last_os_error();
            return Err(format!("this system forbids ptrace of a child ({error}); allow it (seccomp, containers)"));
        }
        self.line.go.send(0);
        stopped(thread)?.ok_or_else(ended)?;
        match self.scenario.stepped {
            Stepped::Itself => Ok(Start { thread, own_above: OWN_ABOVE, sleeps: usize::MAX }),
            Stepped::Scavenger(sleeps) => {
                let thread = scavenger_of(thread)?;
                Ok(Start { thread, own_above: SCAVENGERS_ABOVE, sleeps })
            }
        }
    }

    /// Gives an order to the thread that forks; its answer.
    fn order(&self, order: Order) -> Result<i32, String> {
        self.words.clear();
        self.line.order.send(order as i32);
        self.line.answer.receive().ok_or_else(|| "the process ended".to_string())
    }

    /// Has the stepped thread fork in a signal handler, and return from that; how the child ended.
    fn signal(&self, thread: libc::pid_t) -> Result<i32, String> {
        let ended = || "the process ended in its signal handler".to_string();
        self.words.clear();
        let there = registers(thread)?;
        resume(libc::PTRACE_CONT, thread, traced::FORK_HERE);
        // The end of the child is another signal.
        while stopped(thread)?.ok_or_else(ended)? != libc::SIGTRAP {
            resume(libc::PTRACE_CONT, thread, 0);
        }
        let status = self.line.answer.receive().ok_or_else(ended)?;
        loop {
            resume(libc::PTRACE_SINGLESTEP, thread, 0);
            stopped(thread)?.ok_or_else(ended)?;
            let now = registers(thread)?;
            if (now.rip, now.rsp) == (there.rip, there.rsp) {
                return Ok(status);
            }
        }
    }
}

/// Whether a thread that stands still has the signal blocked whose handler would fork.
fn is_deaf(thread: libc::pid_t) -> bool {
    let mut blocked = 0_u64;
    // SAFETY: the kernel writes the eight bytes.
    unsafe { libc::ptrace(libc::PTRACE_GETSIGMASK, thread, mem::size_of_val(&blocked), &raw mut blocked) };
    blocked & 1 << (traced::FORK_HERE - 1) != 0
}

/// Lets a thread go on that stands still, with a signal if one is given.
fn resume(how: libc::c_uint, thread: libc::pid_t, signal: i32) {
    // SAFETY: the thread stands still.
    unsafe { libc::ptrace(how, thread, 0, signal) };
}

/// Lets the thread that stands at the begin of its scenario run to the end of that; the scavenger which it started, and which stands
/// still at its first instruction.
fn scavenger_of(starter: libc::pid_t) -> Result<libc::pid_t, String> {
    let ended = || "the process ended before there was a scavenger".to_string();
    let trace_threads = |options: i32| {
        // SAFETY: the thread stands still.
        unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, starter, 0, options) };
    };
    trace_threads(libc::PTRACE_O_TRACECLONE);
    resume(libc::PTRACE_CONT, starter, 0);
    let status = stop_of(starter)?.ok_or_else(ended)?;
    if status >> 8 != libc::SIGTRAP | libc::PTRACE_EVENT_CLONE << 8 {
        return Err("no scavenger was started".into());
    }
    let mut thread: libc::c_ulong = 0;
    // SAFETY: the thread stands still, and the kernel writes the number.
    unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, starter, 0, &raw mut thread) };
    trace_threads(0);
    stopped(thread as libc::pid_t)?.ok_or_else(ended)?;
    resume(libc::PTRACE_CONT, starter, 0);
    stopped(starter)?.ok_or_else(ended)?;
    resume(libc::PTRACE_DETACH, starter, 0);
    Ok(thread as libc::pid_t)
}

/// What is wrong with a child that ended like this.
fn complaint(status: i32, words: &Words) -> Option<String> {
    if libc::WIFEXITED(status) {
        return match libc::WEXITSTATUS(status) {
            0 => None,
            _ => Some(words.read()),
        };
    }
    let end = match libc::WTERMSIG(status) {
        libc::SIGALRM => "the child hangs".into(),
        libc::SIGSEGV => "the child touches memory that is not mapped".into(),
        signal => format!("the child ends by signal {signal}"),
    };
    Some(words.read() + &end)
}

/// Where the thread is.
struct Walk {
    code: Code,
    /// Where each call that it is in returns to, and what names the chain of calls up to it.
    calls: Vec<(u64, u64)>,
    /// How often each instruction was met in each chain of calls.
    met: HashMap<(u64, u64), u64>,
    /// The latest instruction of the program.
    last: u64,
    /// Whether something was written since the last child.
    wrote: bool,
}

impl Walk {
    fn new() -> Walk {
        Walk { code: Code::own(), calls: Vec::new(), met: HashMap::new(), last: 0, wrote: false }
    }

    fn chain(&self) -> u64 {
        self.calls.last().map_or(0, |(_, chain)| *chain)
    }

    /// Whether the instruction that comes next writes to what children may look at.
    fn writes(&mut self, registers: &libc::user_regs_struct, own: u64) -> bool {
        if !self.code.has(registers.rip) {
            return false;
        }
        let own = registers.rsp - OWN_BELOW..own;
        let step = self.code.step(registers.rip);
        let writes =
            step.written(registers).any(|address| !own.contains(&address) && !blocks::table().contains(&address));
        writes || step.is_system_call
    }

    /// Whether the instruction that comes next is the call by which a thread falls asleep.
    fn is_sleep(&mut self, registers: &libc::user_regs_struct) -> bool {
        let operation = registers.rsi as i32 & !libc::FUTEX_PRIVATE_FLAG;
        self.code.has(registers.rip)
            && self.code.step(registers.rip).is_system_call
            && registers.rax == libc::SYS_futex as u64
            && operation == libc::FUTEX_WAIT
    }

    /// Takes a step; whether a child is to be tried after it.
    fn go_on(
        &mut self,
        before: &libc::user_regs_struct,
        after: &libc::user_regs_struct,
        wrote: bool,
        every_time: bool,
    ) -> bool {
        if self.code.has(before.rip) {
            self.last = before.rip;
            let (is_call, next) = (self.code.step(before.rip).is_call, self.code.step(before.rip).next);
            if is_call {
                let mut hasher = DefaultHasher::new();
                (self.chain(), next).hash(&mut hasher);
                self.calls.push((next, hasher.finish()));
            }
            self.wrote |= wrote;
        } else {
            // libc may have written, or have called the kernel.
            self.wrote = true;
        }
        if self.calls.last().is_some_and(|(back, _)| *back == after.rip) {
            self.calls.pop();
        }
        // In libc's code the thread may hold what the child needs to start threads.
        if !self.wrote || !self.code.has(after.rip) {
            return false;
        }
        self.wrote = false;
        let met = self.met.entry((self.last, self.calls.last().map_or(0, |(_, chain)| *chain))).or_default();
        *met += 1;
        every_time || met.is_power_of_two()
    }
}

/// Waits until the thread stands still: the signal; `None` when it has ended.
fn stopped(thread: libc::pid_t) -> Result<Option<i32>, String> {
    Ok(stop_of(thread)?.map(|status| libc::WSTOPSIG(status)))
}

/// The same: how it was stopped, as `waitpid` says it.
fn stop_of(thread: libc::pid_t) -> Result<Option<i32>, String> {
    let mut status = 0;
    // SAFETY: writes the status.
    let waited = unsafe { libc::waitpid(thread, &mut status, libc::__WALL) };
    if waited != thread {
        return Err(format!("the thread cannot be waited for: {}", io::Error::last_os_error()));
    }
    Ok(libc::WIFSTOPPED(status).then_some(status))
}

fn registers(thread: libc::pid_t) -> Result<libc::user_regs_struct, String> {
    // SAFETY: numbers only, for which zero is a value.
    let mut registers: libc::user_regs_struct = unsafe { mem::zeroed() };
    // SAFETY: the thread stands still, and the struct is what this request writes.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, ptr::null_mut::<u8>(), &raw mut registers) };
    if result == 0 { Ok(registers) } else { Err(format!("no registers: {}", io::Error::last_os_error())) }
}
