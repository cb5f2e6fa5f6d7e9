//! Metadata memory: where descriptors and thread heaps live, apart from the blocks they describe.
//!
//! What is made here is never unmapped, so a descriptor can be looked at by a thread that comes late.
//!
//! # Safety
//! Each range is handed out once, zeroed by the kernel.

use crate::base::accounting;
use crate::base::sizes::SLAB;
use hakmem_os::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use hakmem_os::vm;

/// Chunks are aligned to their size, so the end of the current one follows from the position in it.
const CHUNK: usize = SLAB;

static NEXT: AtomicUsize = AtomicUsize::new(0);
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Bytes mapped for metadata.
pub fn mapped() -> usize {
    MAPPED.load(Relaxed)
}

/// Notes metadata that was mapped elsewhere (tables, a stack), whatever the limits are.
pub fn note_mapped(bytes: usize) {
    accounting::hold(bytes);
    note_taken(bytes);
}

fn note_taken(bytes: usize) {
    MAPPED.fetch_add(bytes, Relaxed);
    accounting::grow(bytes);
}

/// Puts `value` where it lives for ever; `None` when the system has no memory.
pub fn place<T: Copy + Sync>(value: T) -> Option<&'static T> {
    let at = take::<T>()?;
    // SAFETY: the range was taken just now for a `T`, and nobody else knows of it.
    unsafe {
        at.write(value);
        Some(&*at)
    }
}

/// Makes a zeroed `T` that lives for ever; `None` when the system has no memory.
///
/// # Safety
/// All-zero must be a valid `T`.
pub unsafe fn make<T>() -> Option<&'static T> {
    // SAFETY: the range is this call's alone, zero, aligned and large enough; the caller vouches for zero.
    take::<T>().map(|at| unsafe { &*at })
}

/// Takes a zeroed range for a `T`, which is this caller's alone; `None` when the system has no memory.
fn take<T>() -> Option<*mut T> {
    const { assert!(size_of::<T>() <= CHUNK / 2 && align_of::<T>() <= vm::PAGE) };
    let mut next = NEXT.load(Acquire);
    loop {
        let at = next.next_multiple_of(align_of::<T>());
        let end = at + size_of::<T>();
        // `next` may stand exactly at the end of its chunk; one byte back is in it for sure.
        let fits = next != 0 && end <= (next - 1).next_multiple_of(CHUNK);
        let (at, chunk) = if fits {
            (at, 0)
        } else {
            if !accounting::take(CHUNK) {
                return None;
            }
            let chunk = vm::map_aligned(CHUNK, CHUNK);
            if chunk == 0 {
                accounting::give(CHUNK);
                return None;
            }
            (chunk, chunk)
        };
        match NEXT.compare_exchange(next, at + size_of::<T>(), AcqRel, Acquire) {
            Ok(_) => {
                if chunk != 0 {
                    note_taken(CHUNK);
                }
                return Some(at as *mut T);
            }
            Err(now) => {
                if chunk != 0 {
                    // SAFETY: mapped just now, known to nobody.
                    unsafe { vm::unmap(chunk, CHUNK) };
                    accounting::give(CHUNK);
                }
                next = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[repr(C, align(64))]
    struct Thing([AtomicUsize; 100]);

    #[test]
    fn objects_are_zero_aligned_and_apart() {
        let mut seen = Vec::new();
        for n in 0..500 {
            // SAFETY: atomics are valid when zero.
            let thing = unsafe { make::<Thing>() }.expect("memory");
            assert!(thing.0.iter().all(|word| word.swap(n, Relaxed) == 0));
            assert_eq!(core::ptr::from_ref(thing) as usize % 64, 0);
            seen.push(core::ptr::from_ref(thing) as usize);
        }
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[1] - pair[0] >= size_of::<Thing>()));
    }
}
