//! Sizes and alignments that no kernel has memory for: every entry point returns null.
//!
//! In a process of its own: the fake kernel of another test would serve these requests.

use hakmem_core::heap;

#[test]
fn every_entry_point_refuses_what_no_kernel_has() {
    for size in [isize::MAX as usize, isize::MAX as usize + 1, usize::MAX - 4096, usize::MAX] {
        assert!(heap::allocate(size).is_null());
        assert!(heap::allocate_zeroed(size).is_null());
        assert!(heap::allocate_aligned(size, 64).is_null());
    }
    assert!(heap::allocate_aligned(1, 1 << 62).is_null());
}
