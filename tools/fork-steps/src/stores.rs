//! Finds the instructions that change memory which other threads see, by decoding the program's own code.
//!
//! # Safety
//! The code of this program is read, which stays mapped and does not change.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic,
    OpAccess, Register, UsedMemory,
};
use std::collections::HashMap;
use std::ops::Range;
use std::slice;

/// The properties of one instruction.
pub struct Step {
    /// Memory that it writes.
    writes: Vec<UsedMemory>,
    /// Whether it is a system call.
    pub is_system_call: bool,
    /// Whether it calls a function, which returns to `next`.
    pub is_call: bool,
    /// The address of the instruction that follows it in memory.
    pub next: u64,
}

/// The code of this program, and of the process it steps through, which is a fork of it.
pub struct Code {
    text: Range<u64>,
    steps: HashMap<u64, Step>,
    info: InstructionInfoFactory,
}

unsafe extern "C" {
    // Where the program's code begins and ends, as the linker says.
    static __executable_start: u8;
    static etext: u8;
}

const LONGEST: u64 = 15;

impl Code {
    /// The code of this program.
    pub fn own() -> Code {
        let text = (&raw const __executable_start) as u64..(&raw const etext) as u64;
        Code { text, steps: HashMap::new(), info: InstructionInfoFactory::new() }
    }

    /// Whether an instruction is the program's, and not libc's.
    pub fn has(&self, address: u64) -> bool {
        self.text.contains(&address)
    }

    /// The instruction at an address of the program.
    pub fn step(&mut self, address: u64) -> &Step {
        self.steps.entry(address).or_insert_with(|| {
            let length = LONGEST.min(self.text.end - address) as usize;
            // SAFETY: the code of this program.
            let bytes = unsafe { slice::from_raw_parts(address as *const u8, length) };
            let instruction = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode();
            Step::new(&instruction, &mut self.info)
        })
    }
}

impl Step {
    fn new(instruction: &Instruction, info: &mut InstructionInfoFactory) -> Step {
        let used = info.info_options(instruction, InstructionInfoOptions::NO_REGISTER_USAGE).used_memory();
        let writes = |memory: &&UsedMemory| {
            use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
            matches!(memory.access(), Write | CondWrite | ReadWrite | ReadCondWrite)
        };
        Step {
            writes: used.iter().filter(writes).copied().collect(),
            is_system_call: instruction.mnemonic() == Mnemonic::Syscall,
            is_call: matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall),
            next: instruction.next_ip(),
        }
    }

    /// The addresses that an instruction writes to when it begins with these registers.
    pub fn written(&self, registers: &libc::user_regs_struct) -> impl Iterator<Item = u64> {
        self.writes.iter().filter_map(|memory| memory.virtual_address(0, |register, _, _| value(register, registers)))
    }
}

fn value(register: Register, registers: &libc::user_regs_struct) -> Option<u64> {
    let full = match register {
        Register::CS | Register::DS | Register::ES | Register::SS => return Some(0),
        Register::FS => return Some(registers.fs_base),
        Register::GS => return Some(registers.gs_base),
        register => register.full_register(),
    };
    let whole = match full {
        Register::RAX => registers.rax,
        Register::RBX => registers.rbx,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::RBP => registers.rbp,
        Register::RSP => registers.rsp,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        _ => return None,
    };
    Some(if register.size() == 4 { whole & 0xFFFF_FFFF } else { whole })
}
