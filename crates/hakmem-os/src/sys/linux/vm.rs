//! Virtual memory in the shapes that the allocator asks for: aligned mappings, tables, purging, huge pages, growing in place. It is
//! also the one place that says how large a page is and how many bits an address has.
//!
//! It relies on the table of `kernel`. All of its words are hints that nothing else depends on, so they are relaxed.
//!
//! # Safety
//! A function that takes a range requires that its caller owns the range.

use super::kernel::{Advice, kernel};
use crate::arch;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Bytes of a page, the unit in which memory is mapped and given back.
pub const PAGE: usize = arch::PAGE;
/// The addresses of a program are below two to the power of this.
pub const ADDRESS_BITS: u32 = arch::ADDRESS_BITS;

/// The last aligned mapping. The next one is asked for right below it, because the kernel joins neighbours into one mapping.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Whether the kernel last refused to unmap a range that was of no use.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Maps `len` zero bytes aligned to `align`; 0 on failure. Both are multiples of the page size, and `align` is a power of two.
pub fn map_aligned(len: usize, align: usize) -> usize {
    // Most of the time the kernel maps at the aligned address that is guessed. If it does not, and then refuses to unmap what it
    // mapped elsewhere, the next mappings are not guessed: a wide mapping that cannot be trimmed loses less address space.
    let guessed = if STUCK.load(Relaxed) { None } else { map_by_guess(len, align) };
    let found = guessed.unwrap_or_else(|| map_and_trim(len, align));
    if found != 0 {
        NEXT.store(found, Relaxed);
    }
    found
}

/// Maps at a guessed place. Returns `None` if the guess was wrong, and `Some(0)` if the kernel refused: it would refuse a
/// wider mapping too.
fn map_by_guess(len: usize, align: usize) -> Option<usize> {
    let hint = (NEXT.load(Relaxed).saturating_sub(len)) & !(align - 1);
    let at = (kernel().map)(hint, len, false);
    if at & (align - 1) == 0 {
        return Some(at);
    }
    // SAFETY: the range was mapped just now and nothing refers to it.
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
    // Where the head or the tail cannot be unmapped, their pages stay mapped and are never touched: that costs address space, but no
    // memory.
    let (head, tail) = (start - at, at + wide - (start + len));
    // SAFETY: they are parts of what was mapped just now, and nothing refers to them.
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

/// Unmaps a range; false on failure, and then it is still mapped.
///
/// # Safety
/// The caller owns the range, and nothing uses it any longer.
pub unsafe fn unmap(at: usize, len: usize) -> bool {
    // SAFETY: the caller's obligations are those of the kernel's function.
    unsafe { (kernel().unmap)(at, len) }
}

/// Gives the pages of a range back to the kernel; the range reads as zero afterwards. False on failure, and then the contents are as
/// they were.
///
/// # Safety
/// The caller owns the range and no longer needs its contents.
pub unsafe fn purge(at: usize, len: usize) -> bool {
    // SAFETY: the caller's obligations are those of the kernel's function.
    unsafe { (kernel().purge)(at, len) }
}

/// Asks for huge pages in a range, or for small pages only, whatever the system's setting is. False where the kernel refuses.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn make_huge(at: usize, len: usize, huge: bool) -> bool {
    let advice = if huge { Advice::Huge } else { Advice::Small };
    // SAFETY: the caller's obligations are those of the kernel's function.
    unsafe { (kernel().advise)(at, len, advice) }
}

/// Prepares a range for its purge: a huge page of which it is a part is split.
///
/// # Safety
/// The caller owns the range and no longer needs its contents.
pub unsafe fn split(at: usize, len: usize) {
    // SAFETY: the caller's obligations are those of the kernel's function.
    unsafe { (kernel().advise)(at, len, Advice::Split) };
}

/// Whether the kernel refused to bring pages in. Linux before 5.14 cannot do it, and where memory is short there is no use in it.
static NO_POPULATE: AtomicBool = AtomicBool::new(false);

/// Whether the kernel brings pages in before they are touched; true until it has refused once.
pub fn populates() -> bool {
    !NO_POPULATE.load(Relaxed)
}

/// Brings all pages of a range in with one call, as a write to each of them would. After a refusal the kernel is not asked again.
///
/// # Safety
/// The caller owns the range.
pub unsafe fn populate(at: usize, len: usize) {
    // SAFETY: the caller's obligations are those of the kernel's function.
    if !unsafe { (kernel().advise)(at, len, Advice::Populate) } {
        NO_POPULATE.store(true, Relaxed);
    }
}

/// Brings the page at `at` in by a write to it.
///
/// # Safety
/// The byte at `at` is mapped and zero, and only the caller uses it.
pub unsafe fn touch(at: usize) {
    // SAFETY: the caller vouches for the byte, which keeps its value.
    unsafe { (at as *mut u8).write_volatile(0) };
}

/// Resizes a mapping without moving it. False on failure, and then nothing has changed.
///
/// # Safety
/// The caller owns the range, and nothing uses the bytes beyond `new`.
pub unsafe fn resize(at: usize, old: usize, new: usize) -> bool {
    // SAFETY: the caller's obligations are those of the kernel's function.
    unsafe { (kernel().remap)(at, old, new, 0) }
}

/// Moves a mapping onto the range of `new` bytes at `to`. The kernel moves its pages and copies nothing. False on failure, and then
/// both ranges are as they were.
///
/// # Safety
/// The caller owns both ranges, and nothing refers to the old one any longer.
pub unsafe fn move_onto(at: usize, old: usize, new: usize, to: usize) -> bool {
    // SAFETY: the caller's obligations are those of the kernel's function.
    unsafe { (kernel().remap)(at, old, new, to) }
}
