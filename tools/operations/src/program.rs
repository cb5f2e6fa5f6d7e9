//! Programs: the meaning of bytes.

use std::fmt;

/// Threads that carry out steps. The first one is the thread that runs the program.
pub(crate) const WORKERS: usize = 4;

/// Slots, each of which holds blocks.
pub(crate) const SLOTS: usize = 24;

/// The most steps of a program: more steps find no more faults, and take longer.
const MOST_STEPS: usize = 400;

/// How a block is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// The core's `allocate`.
    Plain,
    /// The core's `allocate_zeroed`.
    Zeroed,
    /// The core's `allocate_aligned`.
    Aligned(usize),
    /// As C++'s `operator new`: from the bin first, aligned to 16.
    New,
    /// The Rust face, with a layout of this alignment.
    Rust(usize),
    /// The same, zeroed.
    RustZeroed(usize),
}

/// How much is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Big {
    /// The caches of the thread and of idle threads.
    Collect,
    /// All of it.
    Trim,
    /// Memory that an earlier pass found free already.
    Aged,
    /// All free memory.
    All,
    /// As much as a pass of the scavenger.
    Scavenge,
    /// Pages between blocks in use.
    Gaps,
    /// A look at the limits.
    Limits,
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    /// Allocates this many blocks of one size into a slot.
    Allocate { slot: usize, call: Call, size: usize, count: usize },
    /// Changes the size of the last block of a slot, with the core's `reallocate` and an alignment.
    Reallocate { slot: usize, size: usize, align: usize },
    /// The same by C's `realloc`.
    Resize { slot: usize, size: usize },
    /// The same with the Rust face, for a block that has a layout.
    RustReallocate { slot: usize, size: usize },
    /// Frees the last blocks of a slot.
    Free { slot: usize, count: usize },
    /// Frees each n-th block of a slot.
    FreeEach { slot: usize, nth: usize },
    /// Frees all blocks of a slot in the order in which they were allocated.
    FreeAll { slot: usize },
    /// Checks the blocks of a slot, and asks for the usable sizes of pointers that are no blocks.
    Look { slot: usize },
    /// Moves the blocks of a slot that are worth moving, as programs do that defragment.
    Move { slot: usize },
    /// Gives memory back.
    GiveBack(Big),
    /// Sets the soft and the hard limit to this much above what is used; 0 is none.
    Limit { soft: usize, hard: usize },
    /// Puts another value of a setting in force.
    Set { number: usize, level: u8 },
    /// Lets system calls fail: after this many calls that succeed this many fail, of the kinds in the mask.
    Fail { after: usize, times: usize, kinds: u8 },
    /// Lets system calls succeed again.
    Heal,
    /// Lets this many milliseconds pass, and from now on this many microseconds at each look at the exact clock.
    Tick { ms: u64, micros: u64 },
    /// Registers a function for pressure that frees a block of this size; 0 removes the function.
    Pressure { size: usize },
    /// Ends the worker's thread. Another thread carries out its next step.
    Leave,
    /// Waits until no thread is in the allocator and checks everything.
    Check,
}

/// An operation and the worker that carries it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its number, below `WORKERS`.
    pub(crate) worker: usize,
    /// What it does.
    pub(crate) op: Op,
}

/// A sequence of steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Whether workers run at the same time between two checks. Otherwise each step ends before the next one begins, so
    /// that a program does the same at each run.
    pub free_running: bool,
    /// The steps, in their order.
    pub steps: Vec<Step>,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "worker {}: {:?}", self.worker, self.op)
    }
}

impl Program {
    /// Decodes these bytes.
    pub fn read(bytes: &[u8]) -> Program {
        let mut bytes = Bytes(bytes);
        let first = bytes.byte();
        let free_running = first & 1 != 0;
        // With one worker no time is lost for changes of threads, so that many more programs run.
        let workers = (first >> 1) % WORKERS + 1;
        let steps = std::iter::from_fn(|| bytes.step(workers)).take(MOST_STEPS).collect();
        Program { free_running, steps }
    }
}

/// The bytes that are left to read. After the end every byte reads as zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn one(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> usize {
        usize::from(self.one().unwrap_or(0))
    }

    fn two(&mut self) -> usize {
        self.byte() | self.byte() << 8
    }

    fn slot(&mut self) -> usize {
        self.byte() % SLOTS
    }

    /// One byte for the region of a size, two for the size in it.
    fn size(&mut self) -> usize {
        // Sizes at which another mechanism begins: the classes, the tables, spans, medium blocks, segments; and the
        // largest sizes.
        const BORDERS: [usize; 16] = [
            8,
            16,
            128,
            1024,
            1152,
            2048,
            4096,
            4608,
            32 << 10,
            64 << 10,
            512 << 10,
            1 << 20,
            2 << 20,
            1 << 40,
            isize::MAX as usize,
            usize::MAX,
        ];
        let kind = self.byte();
        let number = self.two();
        match kind % 8 {
            0..=2 => number % 1100,
            3 => number % 5000,
            4 => number % 40_000,
            5 => 32_000 + number * 17,
            6 => 900_000 + number * 48,
            _ => BORDERS[kind / 8 % 16].wrapping_add(number % 17).wrapping_sub(8),
        }
    }

    fn align(&mut self) -> usize {
        let byte = self.byte();
        match byte {
            0..128 => 1 << (byte % 13),
            128..240 => 1 << (byte % 23),
            _ => 1 << (byte % 64),
        }
    }

    fn count(&mut self) -> usize {
        self.byte() + 1
    }

    fn step(&mut self, workers: usize) -> Option<Step> {
        let first = self.one()?;
        // Mostly the first one, since each change of threads takes a while.
        let worker = [0, 0, 0, 0, 0, 1, 2, 3][usize::from(first >> 5)] % workers;
        let op = match first % 32 {
            0 | 1 => Op::Allocate { slot: self.slot(), call: Call::Plain, size: self.size(), count: 1 },
            2 => Op::Allocate { slot: self.slot(), call: Call::Zeroed, size: self.size(), count: 1 },
            3 => Op::Allocate { slot: self.slot(), call: Call::Aligned(self.align()), size: self.size(), count: 1 },
            4 => Op::Allocate { slot: self.slot(), call: Call::New, size: self.size(), count: 1 },
            5 => Op::Allocate { slot: self.slot(), call: Call::Rust(self.align()), size: self.size(), count: 1 },
            6 => Op::Allocate { slot: self.slot(), call: Call::RustZeroed(self.align()), size: self.size(), count: 1 },
            7 => Op::Allocate { slot: self.slot(), call: Call::Plain, size: self.size(), count: self.count() },
            8 => Op::Allocate { slot: self.slot(), call: Call::Zeroed, size: self.size(), count: self.count() },
            9 => Op::Reallocate { slot: self.slot(), size: self.size(), align: self.align() },
            10 => Op::Resize { slot: self.slot(), size: self.size() },
            11 => Op::RustReallocate { slot: self.slot(), size: self.size() },
            12 | 13 => Op::Free { slot: self.slot(), count: 1 },
            14 => Op::Free { slot: self.slot(), count: self.count() },
            15 => Op::FreeEach { slot: self.slot(), nth: self.byte() % 8 + 2 },
            16 | 17 => Op::FreeAll { slot: self.slot() },
            18 => Op::Look { slot: self.slot() },
            19 => Op::Move { slot: self.slot() },
            20 => Op::GiveBack(Big::Collect),
            21 => {
                let all = [Big::Trim, Big::Aged, Big::All, Big::Gaps, Big::Limits];
                Op::GiveBack(all[self.byte() % all.len()])
            }
            22 => Op::GiveBack(Big::Scavenge),
            23 => Op::Limit { soft: self.byte() << 16, hard: self.byte() << 17 },
            24 | 25 => Op::Set { number: self.byte(), level: self.byte() as u8 },
            26 => Op::Fail { after: self.byte() % 64, times: self.byte() % 32, kinds: self.byte() as u8 },
            27 => Op::Heal,
            28 => Op::Tick { ms: (self.byte() as u64).pow(2), micros: (self.byte() as u64).pow(2) },
            29 => Op::Pressure { size: self.two() },
            30 => Op::Leave,
            _ => Op::Check,
        };
        Some(Step { worker, op })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_program_and_each_kind_of_step_can_be_written() {
        let read = |first| Program::read(&[0, first, 1, 2, 3, 4, 5, 6]).steps[0];
        let mut kinds: Vec<String> =
            (0..=255).map(|first| format!("{:?}", std::mem::discriminant(&read(first).op))).collect();
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds.len(), 18);
    }

    #[test]
    fn what_is_cut_off_ends_with_zeroes() {
        let steps = Program::read(&[6, 0xA7, 200]).steps;
        let op = Op::Allocate { slot: 200 % SLOTS, call: Call::Plain, size: 0, count: 1 };
        assert_eq!(steps, [Step { worker: 1, op }]);
        assert_eq!(Program::read(&[]), Program { free_running: false, steps: Vec::new() });
    }
}
