//! A block that shrinks where there is no memory for a smaller one stays: that is a success, and `errno` is left alone.
//!
//! One test in a process of its own, since the kernel that is faked is the process's.
//!
//! # Safety
//! The blocks are live when they are reallocated and freed.

use hakmem_core::debug;
use hakmem_core::heap;
use hakmem_os::kernel::{Kernel, real, replace};
use std::fs::File;
use std::io::{Error, ErrorKind};

static NO_MORE: Kernel = Kernel {
    map: |_, _, _| 0,
    // SAFETY: passed on with the caller's obligations.
    unmap: |at, len| unsafe { (real().unmap)(at, len) },
    // SAFETY: as above.
    purge: |at, len| unsafe { (real().purge)(at, len) },
    remap: |_, _, _, _| false,
    // SAFETY: as above.
    advise: |at, len, advice| unsafe { (real().advise)(at, len, advice) },
    now: || (real().now)(),
    micros: || (real().micros)(),
};

#[test]
fn a_block_that_cannot_shrink_stays_and_errno_with_it() {
    let (large, first) = (heap::allocate(3 << 20), heap::allocate(64 << 10));
    replace(Some(&NO_MORE));
    let others: Vec<_> =
        std::iter::repeat_with(|| heap::allocate(64 << 10)).take_while(|block| !block.is_null()).collect();
    assert!(!others.is_empty(), "the rest of a segment");
    for block in [large, first] {
        let size = heap::usable_size(block).expect("a block");
        File::open("").expect_err("no such file");
        // SAFETY: a live block.
        let stays = unsafe { heap::reallocate(block, 1000, 1) };
        assert_eq!(Error::last_os_error().kind(), ErrorKind::NotFound, "errno");
        assert_eq!(stays, block);
        assert_eq!(heap::usable_size(block), Some(size));
    }
    replace(None);
    for block in others.into_iter().chain([large, first]) {
        // SAFETY: a live block.
        unsafe { heap::free(block) };
    }
    debug::validate().expect("all is well");
}
