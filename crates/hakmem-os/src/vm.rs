//! Virtual memory in the shapes the allocator asks for: aligned mappings, tables, growing in place.
//!
//! # Safety
//! Ranges are handed out once and taken back whole; a function that takes a range requires that its caller owns it.

use crate::kernel::{Advice, kernel};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The page size of every kernel this runs on (x86-64).
pub const PAGE: usize = 4096;

/// Where the next aligned mapping would continue downwards: neighbours merge into one kernel mapping.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Whether the kernel last refused to take back a range that was mapped for nothing.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Maps `len` fresh zero bytes aligned to `align` (a power of two, both multiples of the page size); 0 on failure.
pub fn map_aligned(len: usize, align: usize) -> usize {
    // A guess at an aligned place is right most of the time. Where it is wrong and the kernel takes nothing back, the next
    // ones are not guessed: a wide mapping that cannot be trimmed loses less.
    let guessed = if STUCK.load(Relaxed) { None } else { map_by_guess(len, align) };
    let found = guessed.unwrap_or_else(|| map_and_trim(len, align));
    if found != 0 {
        NEXT.store(found, Relaxed);
    }
    found
}

/// `None` where the guess was wrong. What the kernel refuses, 0, it would refuse with room for the alignment too.
fn map_by_guess(len: usize, align: usize) -> Option<usize> {
    let hint = (NEXT.load(Relaxed).saturating_sub(len)) & !(align - 1);
    let at = (kernel().map)(hint, len, false);
    if at & (align - 1) == 0 {
        return Some(at);
    }
    // SAFETY: the range was mapped just now and nobody knows of it.
    let unmapped = unsafe { (kernel().unmap)(at, len) };
    STUCK.store(!unmapped, Relaxed);
    None
}

/// What becomes of a mapping that the kernel is asked for only to see whether it would give one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trial {
    /// It counts as memory that may be used, as all that [`map_aligned`] maps does.
    Used,
    /// It counts as mostly never used, as a table's does.
    Untouched,
}

/// Whether the kernel would map `len` more bytes now: it does so, for a moment.
pub fn would_map(len: usize, trial: Trial) -> bool {
    let at = (kernel().map)(0, len, trial == Trial::Untouched);
    if at != 0 {
        // SAFETY: mapped just now, known to nobody.
        unsafe { (kernel().unmap)(at, len) };
    }
    at != 0
}

fn map_and_trim(len: usize, align: usize) -> usize {
    let Some(wide) = len.checked_add(align - PAGE) else { return 0 };
    let at = (kernel().map)(0, wide, false);
    if at == 0 {
        return 0;
    }
    let start = (at + align - 1) & !(align - 1);
    // Head and tail of a range that was mapped just now. Where trimming fails, untouched pages stay mapped: address space is
    // lost, memory is not.
    let (head, tail) = (start - at, at + wide - (start + len));
    // SAFETY: nobody knows of these ranges.
    unsafe {
        let trimmed = (head == 0 || (kernel().unmap)(at, head)) & (tail == 0 || (kernel().unmap)(start + len, tail));
        STUCK.store(!trimmed, Relaxed);
    }
    start
}

/// Maps `len` zero bytes for a table that is mostly never touched; 0 on failure.
pub fn map_table(len: usize) -> usize {
    (kernel().map)(0, len, true)
}

/// Unmaps a range; false on failure, and then it is still there.
///
/// # Safety
/// The caller owns the range, and nothing uses it any more.
pub unsafe fn unmap(at: usize, len: usize) -> bool {
    // SAFETY: passed on.
    unsafe { (kernel().unmap)(at, len) }
}

/// Gives the pages of a range back; it reads as zero afterwards. False on failure: then the contents are kept.
///
/// # Safety
/// The caller owns the range and needs its contents no more.
pub unsafe fn purge(at: usize, len: usize) -> bool {
    // SAFETY: passed on.
    unsafe { (kernel().purge)(at, len) }
}

/// Asks for huge pages in a range, or for none, whatever the system's mode of huge pages is; false where the kernel refuses.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn make_huge(at: usize, len: usize, huge: bool) -> bool {
    let advice = if huge { Advice::Huge } else { Advice::Small };
    // SAFETY: passed on.
    unsafe { (kernel().advise)(at, len, advice) }
}

/// Prepares a range for its purge by splitting a huge page that it is a part of.
///
/// # Safety
/// The caller owns the range and needs its contents no more.
pub unsafe fn split(at: usize, len: usize) {
    // SAFETY: passed on.
    unsafe { (kernel().advise)(at, len, Advice::Split) };
}

/// Whether the kernel refused to populate: before Linux 5.14 it cannot, and where memory is short it need not be asked.
static NO_POPULATE: AtomicBool = AtomicBool::new(false);

/// Whether the kernel populates, as far as is known.
pub fn populates() -> bool {
    !NO_POPULATE.load(Relaxed)
}

/// Brings the pages of a range in at once, as a write to each would. Once the kernel refuses it is not asked again.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn populate(at: usize, len: usize) {
    // SAFETY: passed on.
    if !unsafe { (kernel().advise)(at, len, Advice::Populate) } {
        NO_POPULATE.store(true, Relaxed);
    }
}

/// Brings the page at `at` in by a write to it.
///
/// # Safety
/// Mapped, zero, and nobody else's.
pub unsafe fn touch(at: usize) {
    // SAFETY: the caller's; what was zero stays zero.
    unsafe { (at as *mut u8).write_volatile(0) };
}

/// Resizes a mapping without moving it; false on failure, nothing changed.
///
/// # Safety
/// The caller owns the range, and uses nothing beyond `new` when it shrinks.
pub unsafe fn resize(at: usize, old: usize, new: usize) -> bool {
    // SAFETY: passed on.
    unsafe { (kernel().remap)(at, old, new, 0) }
}

/// Moves a mapping onto the range of `new` bytes at `to`: page tables move, contents are not copied. False on failure,
/// with both as they were.
///
/// # Safety
/// The caller owns both ranges, and refers to the old one no more.
pub unsafe fn move_onto(at: usize, old: usize, new: usize, to: usize) -> bool {
    // SAFETY: passed on.
    unsafe { (kernel().remap)(at, old, new, to) }
}
