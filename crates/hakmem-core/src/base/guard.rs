//! The Guard box: reports misuse in one line on standard error and lets the program go on; or ends the program, or
//! reports nothing, as the operator chooses.
//!
//! It answers for the words of the report.
//!
//! - Contract: it does not read the memory that the reported pointer points to, allocates nothing and keeps `errno`. It
//!   writes nothing if the program replaced standard error by another file, or was started without it.
//! - Callers: the slow paths that notice misuse.
//! - Observable: the line, and [`reports`].

use core::fmt::{self, Write};
use core::sync::atomic::AtomicU8;
use hakmem_os::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use hakmem_os::console::Console;
use hakmem_os::process;

/// How often misuse was noticed.
static REPORTS: AtomicUsize = AtomicUsize::new(0);
/// The most lines that are written. A program may misuse memory in a loop.
const MOST_LINES: usize = 100;

/// What happens when misuse is noticed. In each case the misuse itself has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OnMisuse {
    /// It is reported.
    Report = 0,
    /// It is reported, and the process ends by SIGABRT.
    Abort = 1,
    /// Nothing happens.
    Ignore = 2,
}

impl OnMisuse {
    /// Each action, with its word in the setting.
    pub const ALL: [(&'static str, OnMisuse); 3] =
        [("report", OnMisuse::Report), ("abort", OnMisuse::Abort), ("ignore", OnMisuse::Ignore)];

    /// The action whose word is `word`; `None` if there is none.
    pub fn from_word(word: &[u8]) -> Option<OnMisuse> {
        OnMisuse::ALL.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, action)| *action)
    }
}

static ACTION: AtomicU8 = AtomicU8::new(OnMisuse::Report as u8);

/// Sets what happens when misuse is noticed from now on.
pub fn set_action(action: OnMisuse) {
    ACTION.store(action as u8, Relaxed);
}

/// How often misuse was noticed.
pub fn reports() -> usize {
    REPORTS.load(Relaxed)
}

/// Whether `realloc` left a block larger than requested because there was no memory for a smaller block. From then on a
/// block may be much larger than the size with which it is freed.
static SHRINK_FAILED: AtomicBool = AtomicBool::new(false);

/// Notes that `realloc` could not make a block smaller.
#[cold]
pub fn note_failed_shrink() {
    SHRINK_FAILED.store(true, Relaxed);
}

/// Whether a block may be much larger than the program requested by `realloc`.
pub fn shrink_has_failed() -> bool {
    SHRINK_FAILED.load(Relaxed)
}

/// The kind of block that a pointer points into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A small block of this many bytes.
    Small(usize),
    /// A medium block of this many bytes.
    Medium(usize),
    /// A large block of this many bytes.
    Large(usize),
}

impl Place {
    /// The bytes of the block.
    pub fn bytes(self) -> usize {
        match self {
            Place::Small(bytes) | Place::Medium(bytes) | Place::Large(bytes) => bytes,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Small(bytes) => write!(f, "small block of {bytes} bytes"),
            Place::Medium(bytes) => write!(f, "medium block of {bytes} bytes"),
            Place::Large(bytes) => write!(f, "large block of {bytes} bytes"),
        }
    }
}

/// What is wrong with a pointer that a function was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// The block is free already. The number is that of the thread whose list has the block, or 0 if it is not known.
    FreedTwice(Place, u32),
    /// It points into a block, this many bytes behind its beginning.
    Inside(Place, usize),
    /// It points to a block that was never handed out.
    NeverHandedOut(Place),
    /// The block does not have this many bytes. It is freed all the same.
    Size(Place, usize),
    /// The block is not aligned to this. It is freed all the same.
    Alignment(Place, usize),
    /// The program overwrote the link in a free block.
    Overwritten(Place),
    /// It points to memory of ours where no block in use begins.
    NotInUse,
    /// It points neither to memory of ours nor to a block of libc.
    Unknown,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::FreedTwice(place, 0) => write!(f, "{place}, freed twice; ignored"),
            Wrong::FreedTwice(place, thread) => {
                write!(f, "{place}, freed twice: thread {thread} has it among its free blocks; ignored")
            }
            Wrong::Inside(place, bytes) => write!(f, "{bytes} bytes behind the beginning of a {place}; ignored"),
            Wrong::NeverHandedOut(place) => write!(f, "{place} that was never handed out; ignored"),
            Wrong::Size(place, size) => write!(f, "{place}, freed as one of {size} bytes; freed all the same"),
            Wrong::Alignment(place, align) => {
                write!(f, "{place}, freed as one aligned to {align}; freed all the same")
            }
            Wrong::Overwritten(place) => write!(f, "{place}, written to after it was freed; those behind it are lost"),
            Wrong::NotInUse => f.write_str("not a block in use: freed already, or not where a block begins; ignored"),
            Wrong::Unknown => f.write_str("not a block of any allocator known here; ignored"),
        }
    }
}

/// Reports that the program passed `pointer` to `function`, and what is wrong with it.
#[cold]
#[inline(never)]
pub fn report(function: &str, pointer: usize, wrong: Wrong) {
    let action = ACTION.load(Relaxed);
    let count = REPORTS.fetch_add(1, Relaxed);
    if action == OnMisuse::Ignore as u8 {
        return;
    }
    if count < MOST_LINES
        && let Some(mut console) = Console::stderr()
    {
        // Writing to a console never fails: it drops what cannot be written.
        let _ = writeln!(console, "hakmem: {function}({pointer:#x}): {wrong}");
    }
    if action == OnMisuse::Abort as u8 {
        process::abort();
    }
}
