//! The kernel's calls for memory and time as a table of functions, which a test can replace by a fake: one that refuses the n-th
//! call, or that turns the clock.
//!
//! The indirect call costs next to nothing compared with the system call behind it, and the code under test is the code that ships.
//! The real functions rely on `arch` for the raw system call. Only the clock goes through the C library, which reads it without a
//! system call.
//!
//! # Safety
//! The functions of the table take addresses, and each states what its caller must ensure. Nothing else maps or unmaps memory.

use crate::arch::syscall::syscall;
use core::ptr;
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// The kernel as the allocator sees it. Addresses and lengths are multiples of the page size.
///
/// Whoever calls one of the unsafe functions owns each range that he passes, and nothing uses what the call takes away.
pub struct Kernel {
    /// Maps `len` private bytes of zero, at `hint` if that is free; 0 on failure. With `lazy` the range is left out of overcommit
    /// accounting and core dumps and gets no huge pages, which suits tables that are mostly never touched.
    pub map: fn(hint: usize, len: usize, lazy: bool) -> usize,
    /// Unmaps a range; false on failure, and then it is still mapped.
    pub unmap: unsafe fn(at: usize, len: usize) -> bool,
    /// Gives the pages of a range back to the kernel; the range stays mapped and reads as zero. False on failure, and then the
    /// contents are as they were.
    pub purge: unsafe fn(at: usize, len: usize) -> bool,
    /// Resizes a mapping: in place if `to` is 0, otherwise onto the range at `to`. False on failure, and then nothing has changed.
    pub remap: unsafe fn(at: usize, old: usize, new: usize, to: usize) -> bool,
    /// Advises the kernel how to bring or take the pages of a range. False where the kernel refuses, which loses nothing.
    pub advise: unsafe fn(at: usize, len: usize, advice: Advice) -> bool,
    /// Milliseconds of a monotonic clock that is cheap to read and moves in steps of a few milliseconds.
    pub now: fn() -> u64,
    /// Microseconds of a monotonic clock that is exact.
    pub micros: fn() -> u64,
}

/// An advice for the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// Use huge pages where they fit.
    Huge,
    /// Use small pages only, whatever the system's setting for huge pages is.
    Small,
    /// Bring the pages in now, before they are touched, and keep what is in them.
    Populate,
    /// Drop the contents, and split a huge page of which the range is a part. A purge without it leaves the huge page whole: the
    /// process then looks smaller, but no memory goes back to the system before the system is short of it.
    Split,
    /// Let the range read as zero in each child that gets a copy of this process's memory.
    WipeOnFork,
}

/// The kinds of kernel calls that are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `mmap`
    Map,
    /// `munmap`
    Unmap,
    /// `madvise` that gives pages back
    Purge,
    /// `mremap`
    Remap,
    /// futex waits and wakes, probes and advice
    Other,
}

static COUNTS: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];

/// How many calls of this kind the process has made.
pub fn calls(kind: Call) -> usize {
    COUNTS[kind as usize].load(Relaxed)
}

pub(crate) fn count(kind: Call) {
    // Released: see `after_what_was_unmapped`.
    COUNTS[kind as usize].fetch_add(1, Release);
}

/// Puts what follows behind every use of memory that was unmapped before. The kernel maps for one thread what another one has just
/// unmapped. That this comes later only the kernel knows; the loads tell the memory model, and with it the thread sanitizer.
fn after_what_was_unmapped() {
    COUNTS[Call::Unmap as usize].load(Acquire);
    COUNTS[Call::Remap as usize].load(Acquire);
}

static REAL: Kernel = Kernel { map, unmap, purge, remap, advise, now, micros };
static CURRENT: AtomicPtr<Kernel> = AtomicPtr::new(&raw const REAL as *mut Kernel);

/// The kernel in use.
#[inline]
pub fn kernel() -> &'static Kernel {
    // SAFETY: the pointer is to REAL or to what `replace` was given, and both are 'static. Relaxed is enough: what it points to was
    // complete before the program began.
    unsafe { &*CURRENT.load(Relaxed) }
}

/// Replaces the kernel by `fake`, for a test; `None` brings the real one back.
pub fn replace(fake: Option<&'static Kernel>) {
    CURRENT.store(ptr::from_ref(fake.unwrap_or(&REAL)).cast_mut(), Relaxed);
}

/// The real kernel, for a fake to build on.
pub fn real() -> &'static Kernel {
    &REAL
}

/// Whether the kernel's answer to a system call is an error.
pub(super) fn failed(result: isize) -> bool {
    (-4095..0).contains(&result)
}

fn map(hint: usize, len: usize, lazy: bool) -> usize {
    count(Call::Map);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | if lazy { libc::MAP_NORESERVE } else { 0 };
    // SAFETY: without MAP_FIXED the kernel maps only addresses that are free.
    let at = unsafe { syscall(libc::SYS_mmap, [hint, len, protection as usize, flags as usize, usize::MAX, 0]) };
    if failed(at) {
        return 0;
    }
    after_what_was_unmapped();
    if lazy {
        for advice in [libc::MADV_DONTDUMP, libc::MADV_NOHUGEPAGE] {
            count(Call::Other);
            // SAFETY: the range was just mapped. Where the kernel refuses, the range works all the same.
            unsafe { syscall(libc::SYS_madvise, [at as usize, len, advice as usize, 0, 0, 0]) };
        }
    }
    at as usize
}

unsafe fn unmap(at: usize, len: usize) -> bool {
    count(Call::Unmap);
    // SAFETY: the caller owns the range and uses it no more.
    !failed(unsafe { syscall(libc::SYS_munmap, [at, len, 0, 0, 0, 0]) })
}

unsafe fn purge(at: usize, len: usize) -> bool {
    count(Call::Purge);
    // SAFETY: the caller owns the range and needs its contents no more.
    !failed(unsafe { syscall(libc::SYS_madvise, [at, len, libc::MADV_DONTNEED as usize, 0, 0, 0]) })
}

unsafe fn remap(at: usize, old: usize, new: usize, to: usize) -> bool {
    count(Call::Remap);
    let flags = if to == 0 { 0 } else { libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED };
    // SAFETY: the caller owns the old range, and the new one too where `to` names it.
    let moved = !failed(unsafe { syscall(libc::SYS_mremap, [at, old, new, flags as usize, to, 0]) });
    after_what_was_unmapped();
    moved
}

unsafe fn advise(at: usize, len: usize, advice: Advice) -> bool {
    count(Call::Other);
    let advice = match advice {
        Advice::Huge => libc::MADV_HUGEPAGE,
        Advice::Small => libc::MADV_NOHUGEPAGE,
        Advice::Populate => libc::MADV_POPULATE_WRITE,
        // Linux splits a huge page when a part of it is marked as free (madvise_free_huge_pmd in mm/huge_memory.c).
        Advice::Split => libc::MADV_FREE,
        Advice::WipeOnFork => libc::MADV_WIPEONFORK,
    };
    // SAFETY: the caller owns the range, and where the advice is to split it needs its contents no more.
    !failed(unsafe { syscall(libc::SYS_madvise, [at, len, advice as usize, 0, 0, 0]) })
}

fn now() -> u64 {
    let time = time_of(libc::CLOCK_MONOTONIC_COARSE);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

fn micros() -> u64 {
    let time = time_of(libc::CLOCK_MONOTONIC);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

fn time_of(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the timespec. libc sets no `errno` for a clock that exists.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LEN: usize = 1 << 16;

    /// Maps at `hint` if that is free, writes, unmaps; where it was.
    fn use_memory(hint: usize) -> usize {
        let at = map(hint, LEN, false);
        assert_ne!(at, 0, "memory");
        // SAFETY: mapped just now, and nobody else knows of it.
        unsafe {
            (at as *mut usize).write(1);
            assert!(unmap(at, LEN));
        }
        at
    }

    /// The thread sanitizer fails this where nothing says that memory is unmapped before it is mapped again.
    #[test]
    fn a_thread_may_write_to_what_another_one_unmapped() {
        let same = (0..100).filter(|_| {
            let place = &AtomicUsize::new(0);
            thread::scope(|scope| {
                scope.spawn(move || place.store(use_memory(0), Relaxed));
                let second = scope.spawn(move || {
                    while place.load(Relaxed) == 0 {
                        thread::yield_now();
                    }
                    place.load(Relaxed) == use_memory(place.load(Relaxed))
                });
                second.join().expect("a thread")
            })
        });
        assert_ne!(same.count(), 0, "the kernel maps where it is asked to, if that is free");
    }
}
