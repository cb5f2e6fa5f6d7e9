//! GUARD box: names misuse in one line on standard error, and lets the program go on.
//!
//! Answers for: the words. Contract: reads nothing behind the pointer it is given, allocates nothing, keeps `errno`.
//! A program that put another file in the place of standard error is told nothing.
//! Called by: the cold paths that notice something. Observable: the line, and [`reports`].

use core::fmt::Write;
use hakmem_os::atomic::{AtomicUsize, Ordering::Relaxed};
use hakmem_os::console::{self, Console, STDERR};

static REPORTS: AtomicUsize = AtomicUsize::new(0);
/// A program that misuses in a loop is told this often.
const MOST: usize = 100;

/// How often misuse was noticed.
pub fn reports() -> usize {
    REPORTS.load(Relaxed)
}

/// `function` was given a pointer to memory of ours where no block begins that is in use.
#[cold]
#[inline(never)]
pub fn not_a_block(function: &str, pointer: *mut u8) {
    report(function, pointer, "not a block in use: freed already, or not where a block begins; ignored");
}

/// `function` was given a pointer that nobody here knows.
#[cold]
#[inline(never)]
pub fn unknown(function: &str, pointer: *mut u8) {
    report(function, pointer, "not a block of any allocator known here; ignored");
}

/// A block was freed twice.
#[cold]
#[inline(never)]
pub extern "C" fn freed_twice(block: *mut u8) {
    report("free", block, "freed twice; ignored");
}

fn report(function: &str, pointer: *mut u8, what: &str) {
    if REPORTS.fetch_add(1, Relaxed) < MOST && console::stderr_is_the_same() {
        let mut console = Console::new(STDERR);
        // A console never fails; what cannot be written is dropped.
        let _ = writeln!(console, "hakmem: {function}({:#x}): {what}", pointer as usize);
    }
}
