//! Metadata memory: the memory of descriptors and thread heaps, apart from the blocks that they describe.
//!
//! It is handed out from chunks of one slab, and never unmapped: so a thread may read a descriptor at any later time.
//!
//! # Safety
//! Each range is handed out once, and is zero because the kernel zeroes what it maps.

use crate::base::accounting;
use crate::base::sizes::SLAB;
use hakmem_os::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use hakmem_os::vm;

/// Bytes of a chunk. Chunks are aligned to their size, so the end of the current chunk follows from the position in it.
const CHUNK: usize = SLAB;

/// The position in the current chunk from which memory is handed out; 0 before the first chunk.
static POSITION: AtomicUsize = AtomicUsize::new(0);
static METADATA_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes mapped for metadata.
pub fn mapped() -> usize {
    METADATA_BYTES.load(Relaxed)
}

/// Counts `bytes` of metadata that the caller mapped itself (tables, a stack). The limits do not apply to them.
pub fn note_mapped(bytes: usize) {
    accounting::charge_beyond_limits(bytes);
    count_mapped(bytes);
}

fn count_mapped(bytes: usize) {
    METADATA_BYTES.fetch_add(bytes, Relaxed);
    accounting::add_mapped(bytes);
}

/// Stores `value` in metadata memory; `None` if there is no memory.
pub fn place<T: Copy + Sync>(value: T) -> Option<&'static T> {
    let at = take::<T>()?;
    // SAFETY: `take` returned a range for a `T` that only this call knows.
    unsafe {
        at.write(value);
        Some(&*at)
    }
}

/// Makes a zeroed `T` in metadata memory; `None` if there is no memory.
///
/// # Safety
/// All-zero must be a valid `T`.
pub unsafe fn make<T>() -> Option<&'static T> {
    // SAFETY: `take` returned a range that only this call knows, zero, aligned and large enough. The caller guarantees
    // that zero is a valid `T`.
    take::<T>().map(|at| unsafe { &*at })
}

/// Takes a zeroed range for a `T`, which belongs to the caller alone; `None` if there is no memory.
fn take<T>() -> Option<*mut T> {
    const { assert!(size_of::<T>() <= CHUNK / 2 && align_of::<T>() <= vm::PAGE) };
    // Acquire pairs with the exchange below, which publishes a chunk after it was mapped.
    let mut next = POSITION.load(Acquire);
    loop {
        let at = next.next_multiple_of(align_of::<T>());
        let end = at + size_of::<T>();
        // `next` may be the end of its chunk, and so the start of another; `next - 1` always lies in its chunk.
        let fits = next != 0 && end <= (next - 1).next_multiple_of(CHUNK);
        let (at, chunk) = if fits {
            (at, 0)
        } else {
            if !accounting::charge(CHUNK) {
                return None;
            }
            let chunk = vm::map_aligned(CHUNK, CHUNK);
            if chunk == 0 {
                accounting::uncharge(CHUNK);
                return None;
            }
            (chunk, chunk)
        };
        match POSITION.compare_exchange(next, at + size_of::<T>(), AcqRel, Acquire) {
            Ok(_) => {
                if chunk != 0 {
                    count_mapped(CHUNK);
                }
                return Some(at as *mut T);
            }
            Err(now) => {
                if chunk != 0 {
                    // SAFETY: this call mapped the chunk, and no other thread knows it.
                    unsafe { vm::unmap(chunk, CHUNK) };
                    accounting::uncharge(CHUNK);
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
    fn objects_are_zero_aligned_and_do_not_overlap() {
        let mut seen = Vec::new();
        for n in 0..500 {
            // SAFETY: zero is a valid array of atomics.
            let thing = unsafe { make::<Thing>() }.expect("memory");
            assert!(thing.0.iter().all(|word| word.swap(n, Relaxed) == 0));
            assert_eq!(core::ptr::from_ref(thing) as usize % 64, 0);
            seen.push(core::ptr::from_ref(thing) as usize);
        }
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[1] - pair[0] >= size_of::<Thing>()));
    }
}
