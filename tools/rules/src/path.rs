//! The way through a function that its fast case takes: the straight line from entry to return.
//!
//! At a conditional jump the straight line falls through, unless told otherwise. Where that leads into trouble (a call, a
//! jump out of the function), the shortest way is taken that has none and does what the function is for: reads the
//! thread's heap, writes a bin.

use std::collections::{HashSet, VecDeque};

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, MemorySize, Mnemonic, OpAccess, OpKind, Register};

use crate::code::Code;

/// What makes a way the fast path, and not some early return.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// What is done on the way.
    pub deeds: Deeds,
    /// How it ends.
    pub end: End,
}

/// How a way ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a return.
    Return,
    /// With a jump to a function of another library, such as memset, that returns to the caller.
    Import,
}

impl End {
    fn is(self, instruction: &Instruction) -> bool {
        match self {
            End::Return => instruction.flow_control() == FlowControl::Return,
            End::Import => {
                instruction.flow_control() == FlowControl::IndirectBranch && instruction.memory_base() == Register::RIP
            }
        }
    }
}

/// What an instruction does for the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Deeds {
    /// Reads thread-local memory.
    pub reads_thread: bool,
    /// Writes memory.
    pub writes: bool,
}

impl Deeds {
    fn and(self, other: Deeds) -> Deeds {
        Deeds { reads_thread: self.reads_thread | other.reads_thread, writes: self.writes | other.writes }
    }

    fn cover(self, wanted: Deeds) -> bool {
        self.and(wanted) == self
    }
}

/// One instruction of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands.
    pub address: u64,
    /// Mnemonic and kinds of operands; addresses, displacements and the choice of registers are left out.
    pub text: String,
    /// What a fast path may not do, if this instruction does it.
    pub offence: Option<&'static str>,
}

/// The instructions from entry to return, in order.
pub type Way = Vec<Step>;

/// Which side to take at each conditional jump, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jumps {
    /// Fall through; where that does not work, search.
    Found,
    /// As listed: true is taken.
    Given(Vec<bool>),
}

/// The fast path from `entry`, or, if there is none, the best way there is, with its offences. None if no way at all
/// reaches the goal.
pub fn fast_path(code: &Code, entry: u64, jumps: &Jumps, goal: Goal) -> Option<Way> {
    match jumps {
        Jumps::Given(sides) => straight(code, entry, sides, Goal { deeds: Deeds::default(), ..goal }),
        Jumps::Found => straight(code, entry, &[], goal)
            .filter(is_clean)
            .or_else(|| shortest(code, entry, goal, true))
            .or_else(|| shortest(code, entry, goal, false)),
    }
}

/// Which side an execution took at each conditional jump, given the addresses it went through.
pub fn sides_taken(code: &Code, addresses: &[u64]) -> Jumps {
    let sides = addresses.windows(2).filter_map(|pair| {
        let instruction = code.instruction(pair[0])?;
        let conditional = instruction.flow_control() == FlowControl::ConditionalBranch;
        conditional.then(|| pair[1] != instruction.next_ip())
    });
    Jumps::Given(sides.collect())
}

/// Whether nothing on the way is forbidden.
pub fn is_clean(way: &Way) -> bool {
    way.iter().all(|step| step.offence.is_none())
}

/// Follows the listed sides, then falls through, until the end.
fn straight(code: &Code, entry: u64, sides: &[bool], goal: Goal) -> Option<Way> {
    const LONGEST: usize = 1000;
    let mut sides = sides.iter().copied();
    let (mut way, mut done, mut address) = (Way::new(), Deeds::default(), entry);
    while way.len() < LONGEST {
        let instruction = code.instruction(address)?;
        done = done.and(deeds(&instruction));
        way.push(step(&instruction));
        if goal.end.is(&instruction) {
            return done.cover(goal.deeds).then_some(way);
        }
        address = match instruction.flow_control() {
            FlowControl::UnconditionalBranch => instruction.near_branch_target(),
            FlowControl::ConditionalBranch if sides.next() == Some(true) => instruction.near_branch_target(),
            FlowControl::Return | FlowControl::IndirectBranch | FlowControl::Exception => return None,
            _ => instruction.next_ip(),
        };
    }
    None
}

/// The shortest way to the goal, breadth first. It stays in its function: a jump out is a tail call.
fn shortest(code: &Code, entry: u64, goal: Goal, clean: bool) -> Option<Way> {
    let entry = behind_thunks(code, entry);
    let function = code.function(entry.address);
    let mut seen = HashSet::new();
    let mut waiting = VecDeque::from([(entry.address, Deeds::default(), None)]);
    let mut visited: Vec<(Instruction, Option<usize>)> = Vec::new();
    while let Some((address, done, before)) = waiting.pop_front() {
        let Some(instruction) = code.instruction(address).filter(|_| function.contains(&address)) else { continue };
        let done = done.and(deeds(&instruction));
        if !seen.insert((address, done)) || (clean && offence(&instruction).is_some()) {
            continue;
        }
        visited.push((instruction, before));
        let here = Some(visited.len() - 1);
        let flow = instruction.flow_control();
        if goal.end.is(&instruction) && done.cover(goal.deeds) {
            return Some(entry.way.into_iter().chain(retrace(&visited, here)).collect());
        }
        let falls = !matches!(
            flow,
            FlowControl::Return
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Exception
        );
        if falls {
            waiting.push_back((instruction.next_ip(), done, here));
        }
        if matches!(flow, FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch) {
            waiting.push_back((instruction.near_branch_target(), done, here));
        }
    }
    None
}

struct Entry {
    address: u64,
    /// The jumps that led here.
    way: Way,
}

/// Follows functions that are nothing but a jump to another one.
fn behind_thunks(code: &Code, address: u64) -> Entry {
    let mut entry = Entry { address, way: Way::new() };
    while let Some(jump) = code.instruction(entry.address) {
        if jump.flow_control() != FlowControl::UnconditionalBranch || entry.way.len() > 2 {
            break;
        }
        entry.way.push(step(&jump));
        entry.address = jump.near_branch_target();
    }
    entry
}

fn retrace(visited: &[(Instruction, Option<usize>)], last: Option<usize>) -> Way {
    let mut way: Way = std::iter::successors(last, |&at| visited[at].1).map(|at| step(&visited[at].0)).collect();
    way.reverse();
    way
}

fn step(instruction: &Instruction) -> Step {
    Step { address: instruction.ip(), text: normalised(instruction), offence: offence(instruction) }
}

fn deeds(instruction: &Instruction) -> Deeds {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let writes = |access| {
        matches!(access, OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite)
    };
    Deeds {
        reads_thread: info.used_memory().iter().any(|memory| memory.segment() == Register::FS),
        writes: info.used_memory().iter().any(|memory| writes(memory.access()) && memory.base() != Register::RSP),
    }
}

/// What a fast path may not do.
fn offence(instruction: &Instruction) -> Option<&'static str> {
    let on_memory = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
    let moves_stack = instruction.op0_register() == Register::RSP
        && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test);
    match instruction.flow_control() {
        FlowControl::Return => None,
        FlowControl::Call | FlowControl::IndirectCall => Some("a call"),
        _ if instruction.has_lock_prefix() => Some("a locked instruction"),
        _ if instruction.mnemonic() == Mnemonic::Xchg && on_memory => Some("a locked instruction (xchg with memory)"),
        _ if instruction.is_stack_instruction() || moves_stack => Some("a stack frame"),
        _ if on_memory && instruction.memory_base() == Register::RSP => Some("a stack access"),
        _ => None,
    }
}

/// Mnemonic and operand kinds: `mov r64, fs:[r64]`.
fn normalised(instruction: &Instruction) -> String {
    let mnemonic = format!("{:?}", instruction.mnemonic()).to_lowercase();
    let prefix = match () {
        () if instruction.has_lock_prefix() => "lock ",
        () if instruction.has_rep_prefix() => "rep ",
        () => "",
    };
    let operands: Vec<String> = (0..instruction.op_count()).map(|operand| kind(instruction, operand)).collect();
    format!("{prefix}{mnemonic} {}", operands.join(", ")).trim_end().to_string()
}

fn kind(instruction: &Instruction, operand: u32) -> String {
    match instruction.op_kind(operand) {
        OpKind::Register => register(instruction.op_register(operand)),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => "label".into(),
        OpKind::Memory => memory(instruction),
        immediate if is_immediate(immediate) => "imm".into(),
        // String instructions (`rep stosq`).
        _ => "mem".into(),
    }
}

fn is_immediate(kind: OpKind) -> bool {
    (OpKind::Immediate8..=OpKind::Immediate32to64).contains(&kind)
}

fn register(register: Register) -> String {
    match register {
        _ if register.is_gpr() => format!("r{}", register.size() * 8),
        _ if register.is_xmm() => "xmm".into(),
        _ => format!("{register:?}").to_lowercase(),
    }
}

fn memory(instruction: &Instruction) -> String {
    let segment = match instruction.segment_prefix() {
        Register::FS => "fs:",
        Register::GS => "gs:",
        _ => "",
    };
    let base = match instruction.memory_base() {
        Register::None => None,
        Register::RIP => Some("rip"),
        Register::RSP => Some("rsp"),
        _ => Some("reg"),
    };
    let index = (instruction.memory_index() != Register::None).then_some("reg");
    let parts: Vec<&str> = [base, index].into_iter().flatten().collect();
    let address = if parts.is_empty() { "abs".to_string() } else { parts.join("+") };
    format!("{}{segment}[{address}]", width(instruction.memory_size()))
}

fn width(size: MemorySize) -> &'static str {
    match size.size() {
        1 => "byte ",
        2 => "word ",
        4 => "dword ",
        8 => "qword ",
        16 => "xmmword ",
        // `lea` and the like touch no memory.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::tests::{BASE, assemble};
    use iced_x86::code_asm::*;

    const BOTH: Goal = Goal { deeds: Deeds { reads_thread: true, writes: true }, end: End::Return };

    fn list(way: &Way) -> Vec<&str> {
        way.iter().map(|step| step.text.as_str()).collect()
    }

    fn found(code: &Code) -> Way {
        fast_path(code, BASE, &Jumps::Found, BOTH).expect("a way")
    }

    #[test]
    fn the_straight_line_falls_through_to_the_return() {
        let code = assemble(|a, cold| {
            a.mov(rax, ptr(0x10).fs())?;
            a.cmp(rdi, 1024)?;
            a.ja(cold)?;
            a.mov(ptr(rax + rdi * 8 + 24), rdi)?;
            a.ret()
        });
        let way = found(&code);
        let expected = ["mov r64, qword fs:[abs]", "cmp r64, imm", "ja label", "mov qword [reg+reg], r64", "ret"];
        assert_eq!(list(&way), expected);
        assert!(is_clean(&way));
    }

    /// Falls through into a call, jumps to the fast part.
    fn jumps_to_the_fast_part() -> Code {
        assemble(|a, cold| {
            let mut fast = a.create_label();
            a.mov(rax, ptr(rdi).fs())?;
            a.test(rax, rax)?;
            a.jne(fast)?;
            a.jmp(cold)?;
            a.set_label(&mut fast)?;
            a.mov(ptr(rax), rdi)?;
            a.ret()
        })
    }

    #[test]
    fn where_the_straight_line_leads_to_a_call_the_clean_side_is_found() {
        let way = found(&jumps_to_the_fast_part());
        let expected = ["mov r64, qword fs:[reg]", "test r64, r64", "jne label", "mov qword [reg], r64", "ret"];
        assert_eq!(list(&way), expected);
    }

    #[test]
    fn given_sides_are_followed_into_whatever_is_there() {
        let code = jumps_to_the_fast_part();
        let taken = fast_path(&code, BASE, &Jumps::Given(vec![true]), BOTH).expect("a way");
        assert_eq!(taken, found(&code));
        let cold = fast_path(&code, BASE, &Jumps::Given(vec![false]), BOTH).expect("a way");
        assert_eq!(list(&cold)[4..], ["push r64", "call r64", "pop r64", "ret"]);
    }

    #[test]
    fn an_early_return_is_not_the_fast_path() {
        let code = assemble(|a, cold| {
            let mut work = a.create_label();
            a.test(rdi, rdi)?;
            a.jne(work)?;
            a.ret()?;
            a.set_label(&mut work)?;
            a.mov(rax, ptr(0x10).fs())?;
            a.test(rax, rax)?;
            a.je(cold)?;
            a.mov(ptr(rax), rdi)?;
            a.ret()
        });
        assert_eq!(found(&code).len(), 7);
        let any = Goal { deeds: Deeds::default(), end: End::Return };
        let any = fast_path(&code, BASE, &Jumps::Found, any).expect("a way");
        assert_eq!(any.len(), 3);
    }

    #[test]
    fn the_end_may_be_a_jump_to_another_library() {
        let code = assemble(|a, import| {
            a.inc(dword_ptr(0x10).fs())?;
            a.jmp(qword_ptr(import))?;
            a.ret()
        });
        let import = Goal { end: End::Import, ..BOTH };
        let way = fast_path(&code, BASE, &Jumps::Found, import).expect("a way");
        assert_eq!(list(&way), ["inc dword fs:[abs]", "jmp qword [rip]"]);
        assert_eq!(fast_path(&code, BASE, &Jumps::Found, BOTH), None);
    }

    #[test]
    fn an_execution_tells_its_sides() {
        let code = jumps_to_the_fast_part();
        let addresses: Vec<u64> = found(&code).iter().map(|step| step.address).collect();
        assert_eq!(sides_taken(&code, &addresses), Jumps::Given(vec![true]));
        assert_eq!(sides_taken(&code, &addresses[..3]), Jumps::Given(Vec::new()));
    }

    #[test]
    fn what_a_fast_path_may_not_do_is_named() {
        let code = assemble(|a, _| {
            a.push(rbx)?;
            a.mov(rax, ptr(0x10).fs())?;
            a.lock().inc(qword_ptr(rax))?;
            a.xchg(ptr(rax), rbx)?;
            a.mov(ptr(rsp + 8), rbx)?;
            a.sub(rsp, 8)?;
            a.call(rax)?;
            a.cmp(rsp, rax)?;
            a.ret()
        });
        let offences: Vec<_> = found(&code).iter().map(|step| step.offence.unwrap_or("fine")).collect();
        let expected = [
            "a stack frame",
            "fine",
            "a locked instruction",
            "a locked instruction (xchg with memory)",
            "a stack access",
            "a stack frame",
            "a call",
            "fine",
            "fine",
        ];
        assert_eq!(offences, expected);
    }

    #[test]
    fn a_jump_at_the_entry_counts_and_is_followed() {
        let code = assemble(|a, _| {
            let mut body = a.create_label();
            a.jmp(body)?;
            a.nop()?;
            a.set_label(&mut body)?;
            a.mov(rax, ptr(0x10).fs())?;
            a.inc(dword_ptr(rax))?;
            a.ret()
        });
        assert_eq!(list(&found(&code)), ["jmp label", "mov r64, qword fs:[abs]", "inc dword [reg]", "ret"]);
    }

    #[test]
    fn a_function_that_never_returns_has_no_way() {
        let code = assemble(|a, cold| a.jmp(cold));
        let way = fast_path(&code, BASE, &Jumps::Found, BOTH);
        assert_eq!(way, None);
    }

    #[test]
    fn every_way_through_a_loop_ends() {
        let code = assemble(|a, cold| {
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.mov(ptr(rdi), rax)?;
            a.dec(rcx)?;
            a.jne(again)?;
            a.jmp(cold)
        });
        assert_eq!(fast_path(&code, BASE, &Jumps::Found, BOTH), None);
    }
}
