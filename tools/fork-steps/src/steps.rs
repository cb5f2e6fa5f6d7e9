//! The tracer: steps a thread through a scenario, and has its process fork after each instruction that writes to memory.
//!
//! An instruction that writes nothing leaves a child the same memory as the one before it, so there is no child to try there.
//!
//! # Safety
//! The unsafe code makes system calls with arguments of its own, about a process that this one started and a thread of it that
//! it traces and that stands still.

use crate::blocks;
use crate::child::{self, Way};
use crate::scenarios::Scenario;
use crate::stores::Code;
use crate::traced::{self, Line, Pipe};
use crate::words::Words;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ptr;

/// How thorough a run is.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Whether an instruction that is met again and again in the same call is tried each time, and not the first, second, fourth,
    /// eighth, ... time.
    pub every_time: bool,
    /// Seconds until a child counts as hanging.
    pub patience: u32,
}

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

/// Steps through a scenario.
pub fn run(scenario: &'static Scenario, way: Way, effort: Effort) -> Outcome {
    let words = Words::map();
    let line = Line { go: Pipe::new(), fork: Pipe::new(), answer: Pipe::new() };
    // SAFETY: this process has one thread, so its child may do anything.
    let process = unsafe { libc::fork() };
    assert_ne!(process, -1, "a process");
    if process == 0 {
        traced::run(scenario, way, line, words, effort.patience);
    }
    line.go.only(true);
    line.fork.only(true);
    line.answer.only(false);
    let mut outcome = Outcome::default();
    if let Err(problem) = follow(line, effort, words, &mut outcome) {
        outcome.problem = Some(problem);
    }
    // The traced thread has to be waited for, too, or else the process never ends.
    // SAFETY: the process is ours and not waited for yet.
    unsafe {
        libc::kill(process, libc::SIGKILL);
        while !matches!(libc::waitpid(-1, ptr::null_mut(), libc::__WALL), -1) {}
    }
    line.go.only(false);
    line.fork.only(false);
    line.answer.only(true);
    outcome
}

fn follow(line: Line, effort: Effort, words: &Words, outcome: &mut Outcome) -> Result<(), String> {
    let ended = || "the process ended before its thread began".to_string();
    let thread = line.answer.receive().ok_or_else(ended)?;
    // SAFETY: a thread of a process of ours.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0) } != 0 {
        let error = io::Error::last_os_error();
        return Err(format!("this system forbids ptrace of a child ({error}); allow it (seccomp, containers)"));
    }
    line.go.send(0);
    stopped(thread)?.ok_or_else(ended)?;
    let mut way = Walk::new();
    let mut before = registers(thread)?;
    let own = before.rsp + OWN_ABOVE;
    let mut hanging = 0;
    while before.rip != traced::end as fn() as usize as u64 {
        let wrote = way.writes(&before, own);
        // SAFETY: the thread stands still; no signal is passed on.
        unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, thread, 0, 0) };
        let Some(signal) = stopped(thread)? else { return Ok(()) };
        if signal != libc::SIGTRAP {
            return Err(format!("the thread got signal {signal}"));
        }
        outcome.steps += 1;
        let after = registers(thread)?;
        if way.go_on(&before, &after, wrote, effort) {
            words.clear();
            line.fork.send(0);
            let status = line.answer.receive().ok_or("the process ended")?;
            outcome.children += 1;
            if let Some(what) = child::complaint(status, words) {
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
    Ok(())
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

    /// Takes a step; whether a child is to be tried after it.
    fn go_on(
        &mut self,
        before: &libc::user_regs_struct,
        after: &libc::user_regs_struct,
        wrote: bool,
        effort: Effort,
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
        effort.every_time || met.is_power_of_two()
    }
}

/// Waits until the thread stands still: the signal; `None` when it has ended.
fn stopped(thread: libc::pid_t) -> Result<Option<i32>, String> {
    let mut status = 0;
    // SAFETY: writes the status.
    let waited = unsafe { libc::waitpid(thread, &mut status, libc::__WALL) };
    if waited != thread {
        return Err(format!("the thread cannot be waited for: {}", io::Error::last_os_error()));
    }
    Ok(libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status)))
}

fn registers(thread: libc::pid_t) -> Result<libc::user_regs_struct, String> {
    // SAFETY: numbers only, for which zero is a value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the thread stands still, and the struct is what this request writes.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, ptr::null_mut::<u8>(), &raw mut registers) };
    if result == 0 { Ok(registers) } else { Err(format!("no registers: {}", io::Error::last_os_error())) }
}
