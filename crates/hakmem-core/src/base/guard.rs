//! GUARD box: names misuse in one line on standard error, and lets the program go on; or ends it, or says nothing, as the
//! operator wants.
//!
//! Answers for: the words. Contract: reads nothing behind the pointer it is given, allocates nothing, keeps `errno`.
//! A program that put another file in the place of standard error, or was started without one, is told nothing.
//! Called by: the cold paths that notice something. Observable: the line, and [`reports`].

use core::fmt::{self, Write};
use core::sync::atomic::AtomicU8;
use hakmem_os::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use hakmem_os::console::Console;
use hakmem_os::process;

static REPORTS: AtomicUsize = AtomicUsize::new(0);
/// A program that misuses in a loop is told this often.
const MOST: usize = 100;

/// What happens when misuse is noticed. The misuse itself never has an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OnMisuse {
    /// It is named.
    Report = 0,
    /// It is named, and the process ends with SIGABRT.
    Abort = 1,
    /// Nothing.
    Ignore = 2,
}

impl OnMisuse {
    /// Each with the word for it.
    pub const ALL: [(&'static str, OnMisuse); 3] =
        [("report", OnMisuse::Report), ("abort", OnMisuse::Abort), ("ignore", OnMisuse::Ignore)];

    /// The one that is called so.
    pub fn called(word: &[u8]) -> Option<OnMisuse> {
        OnMisuse::ALL.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, action)| *action)
    }
}

static ACTION: AtomicU8 = AtomicU8::new(OnMisuse::Report as u8);

/// Chooses what happens from now on.
pub fn set(action: OnMisuse) {
    ACTION.store(action as u8, Relaxed);
}

/// How often misuse was noticed.
pub fn reports() -> usize {
    REPORTS.load(Relaxed)
}

/// Whether a block stayed larger than it was asked to become, for want of memory to move it: from then on a block may be much
/// larger than the size that it is freed with.
static SHRINK_FAILED: AtomicBool = AtomicBool::new(false);

/// Notes that a block could not become smaller.
#[cold]
pub fn note_failed_shrink() {
    SHRINK_FAILED.store(true, Relaxed);
}

/// Whether a block may be much larger than what it was asked to become.
pub fn shrink_has_failed() -> bool {
    SHRINK_FAILED.load(Relaxed)
}

/// What a pointer points into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A span of blocks of so many bytes.
    Small(usize),
    /// A medium block of so many bytes.
    Medium(usize),
    /// A large block of so many bytes.
    Large(usize),
}

impl Place {
    /// Bytes of a block there.
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
    /// It is free already; the second is the number of the thread on whose list it stands, 0 if that is not known.
    FreedTwice(Place, u32),
    /// It points so many bytes behind the beginning of a block.
    Inside(Place, usize),
    /// No block was handed out there yet.
    NeverHandedOut(Place),
    /// It is no block of that many bytes. It is freed all the same.
    Size(Place, usize),
    /// It is not aligned to that. It is freed all the same.
    Alignment(Place, usize),
    /// The link in a free block was overwritten.
    Overwritten(Place),
    /// Memory of ours where no block in use begins.
    NotInUse,
    /// Nobody here knows it.
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

/// `function` was given a pointer with which something is wrong.
#[cold]
#[inline(never)]
pub fn report(function: &str, pointer: usize, wrong: Wrong) {
    let action = ACTION.load(Relaxed);
    let count = REPORTS.fetch_add(1, Relaxed);
    if action == OnMisuse::Ignore as u8 {
        return;
    }
    if count < MOST
        && let Some(mut console) = Console::stderr()
    {
        // A console never fails; what cannot be written is dropped.
        let _ = writeln!(console, "hakmem: {function}({pointer:#x}): {wrong}");
    }
    if action == OnMisuse::Abort as u8 {
        process::abort();
    }
}
