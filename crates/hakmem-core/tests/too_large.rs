//! Sizes and alignments that no kernel gives: every entry answers null.
//!
//! In a process of its own: where another test has a fake kernel in place, it would answer.

use hakmem_core::heap;

#[test]
fn what_no_kernel_gives_is_refused_by_every_entry() {
    for size in [isize::MAX as usize, isize::MAX as usize + 1, usize::MAX - 4096, usize::MAX] {
        assert!(heap::allocate(size).is_null());
        assert!(heap::allocate_zeroed(size).is_null());
        assert!(heap::allocate_aligned(size, 64).is_null());
    }
    assert!(heap::allocate_aligned(1, 1 << 62).is_null());
}
