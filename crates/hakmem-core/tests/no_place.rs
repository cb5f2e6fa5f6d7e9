//! Requests that the address space has no place for are refused before anything is done for them: no call of the kernel, nothing
//! of what is free given back, nothing counted, nobody told.
//!
//! One test in a process of its own, since the kernel that is faked is the process's.
//!
//! # Safety
//! The blocks are live when they are reallocated and freed.

mod common;

use hakmem_core::base::accounting;
use hakmem_core::debug;
use hakmem_core::reclaim::limits;
use hakmem_core::{heap, stats};
use hakmem_os::kernel::{Kernel, real, replace};
use hakmem_os::vm::ADDRESS_BITS;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn call() -> &'static Kernel {
    CALLS.fetch_add(1, Relaxed);
    real()
}

static COUNTING: Kernel = Kernel {
    map: |hint, len, lazy| (call().map)(hint, len, lazy),
    // SAFETY: passed on with the caller's obligations.
    unmap: |at, len| unsafe { (call().unmap)(at, len) },
    // SAFETY: as above.
    purge: |at, len| unsafe { (call().purge)(at, len) },
    // SAFETY: as above.
    remap: |at, old, new, to| unsafe { (call().remap)(at, old, new, to) },
    // SAFETY: as above.
    advise: |at, len, advice| unsafe { (call().advise)(at, len, advice) },
    now: || (call().now)(),
    micros: || (call().micros)(),
};

const END: usize = 1 << ADDRESS_BITS;

/// Sizes and alignments, each too much on its own or together.
fn requests() -> Vec<(usize, usize)> {
    let too_large = [END, END - 4096, END - 4095, 1 << 48, 1 << 50, 1 << 62, isize::MAX as usize];
    let beyond_isize = [isize::MAX as usize + 1, usize::MAX - (2 << 20), usize::MAX - 4095, usize::MAX - 7, usize::MAX];
    let aligns = [1, 8, 16, 64, 4096, 64 << 10, 2 << 20, END / 2];
    let mut requests: Vec<_> =
        too_large.iter().chain(&beyond_isize).flat_map(|size| aligns.map(|align| (*size, align))).collect();
    let small = [0, 1, 100, 40_000, 3 << 20, END / 2];
    requests.extend((ADDRESS_BITS..64).flat_map(|shift| small.map(|size| (size, 1_usize << shift))));
    requests.extend([(END / 2, END / 2), (END / 2 + 1, END / 2), (END / 4 * 3, END / 4), (END - (2 << 20), 2 << 20)]);
    requests
}

unsafe extern "C" fn told(times: *mut c_void, _used: usize, _limit: usize) {
    // SAFETY: the counter that was registered with this function.
    unsafe { (*times.cast::<AtomicUsize>()).fetch_add(1, Relaxed) };
}

#[test]
fn requests_without_a_place_are_refused_before_anything_is_done() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: the function takes any thread's calls, and gets the counter that it expects.
    assert!(unsafe { limits::on_pressure(Some(told), (&raw const TOLD) as *mut c_void) });
    let sizes = [8, 24, 700, 5000, 30_000, 70_000, 900_000, 1_100_000, 5 << 20];
    let blocks = || sizes.map(heap::allocate);
    // SAFETY: live blocks.
    let free = |blocks: [*mut u8; 9]| blocks.into_iter().for_each(|block| unsafe { heap::free(block) });
    // Much that is free, which a refusal could give back.
    let at_hand: Vec<_> = (0..20).map(|_| blocks()).collect();
    let live = blocks();
    at_hand.into_iter().for_each(free);
    let books = || (stats::totals(), accounting::used(), accounting::refusals(), accounting::crossings());
    replace(Some(&COUNTING));
    CALLS.store(0, Relaxed);
    let before = books();
    for (size, align) in requests() {
        assert!(heap::allocate_aligned(size, align).is_null(), "{size} bytes at a multiple of {align}");
        assert!(heap::allocate_zeroed_aligned(size, align).is_null(), "{size} bytes at a multiple of {align}");
        if size >= END - 4096 {
            assert!(heap::allocate(size).is_null() && heap::allocate_zeroed(size).is_null(), "{size} bytes");
            assert!(heap::allocate_for_new(size).is_null() && heap::allocate_inline(size).is_null(), "{size} bytes");
            for (block, old) in live.iter().zip(sizes) {
                // SAFETY: a live block.
                assert!(unsafe { heap::reallocate(*block, size, 8) }.is_null(), "{size} bytes");
                assert!(heap::usable_size(*block).is_some_and(|usable| usable >= old), "{old} bytes stay");
            }
        }
    }
    assert_eq!(CALLS.load(Relaxed), 0, "calls of the kernel");
    assert_eq!(books(), before);
    assert_eq!(TOLD.load(Relaxed), 0, "times that the program was told");
    free(live);
    debug::validate().expect("all is well");
    common::check_books();
    replace(None);
}
