//! The large cache: mappings of freed large blocks, for all threads.
//!
//! A cached mapping waits in one of 64 slots until a request comes that it can serve, or until it has waited for two purge passes. What is
//! cached is used before the kernel is asked for more, so that a process holds little more than it ever needed at one time:
//!
//! 1. The smallest cached mapping that is large enough is split; the rest stays cached.
//! 2. If there is none, neighbours are joined: of any origin if that can be enough, else those that one call mapped.
//! 3. If that does not help, the kernel grows the largest one: pages that were touched before need not be brought in again.
//! 4. Otherwise a new mapping is made; first, what is cached beyond the most that was recently live is unmapped.
//!
//! Each descriptor has a phase, so that a child process just forked can recover a mapping that a thread of its parent was working on.
//!
//! # Safety
//! A descriptor belongs to the thread that took it out of a slot or off a stack, or to the holder of the block.

mod extent;
mod mapping;
mod slots;
mod unmap;
mod resize;
mod reuse;
mod fork;

pub use extent::{Extent, extent, note_live, note_mapped};
pub use fork::after_fork_in_child;
pub use mapping::{Mapping, free_descriptor, new_descriptor};
pub use reuse::{put, take, unmap_excess};
pub use slots::count_cached;
pub use unmap::{charge, unmap, unmap_for};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::purge::Purge;
    use crate::base::sizes::SLAB;
    use crate::map::page_map;
    use hakmem_os::atomic::Ordering::Relaxed;
    use hakmem_os::vm;

    const PART: usize = 3 << 20;

    #[test]
    fn a_joined_mapping_serves_as_a_whole_and_is_resized_only_if_one_call_mapped_it() {
        a_mapping_joined_of_two_calls_is_never_resized();
        joined_parts_of_one_mapping_are_grown();
    }

    fn joined_parts_of_one_mapping_are_grown() {
        let whole = new_descriptor().expect("memory");
        let base = vm::map_aligned(2 * PART, SLAB);
        assert!(base != 0 && page_map::cover(base, SLAB) && charge(2 * PART));
        note_mapped(2 * PART);
        whole.base.store(base, Relaxed);
        whole.bytes.store(2 * PART, Relaxed);
        for at in [base, base + PART] {
            // SAFETY: mapped just now.
            unsafe { (at as *mut usize).write(at) };
        }
        put(whole);
        let first = take(PART, SLAB).expect("one half");
        let second = take(PART, SLAB).expect("the other half");
        assert_eq!((first.base.load(Relaxed), second.base.load(Relaxed)), (base, base + PART));
        put(second);
        put(first);
        let grown = take(4 * PART, SLAB).expect("both, grown");
        let now = grown.base.load(Relaxed);
        assert_eq!((grown.bytes.load(Relaxed), extent()), (4 * PART, Extent { mapped: 4 * PART, cached: 0 }));
        for part in [0, PART] {
            // SAFETY: mapped, and the kernel has moved the written pages there.
            let word = unsafe { ((now + part) as *const usize).read() };
            assert_eq!(word, base + part);
        }
        put(grown);
        assert_ne!(unmap(Purge::All), 0);
        assert_eq!(extent(), Extent::default());
    }

    fn a_mapping_joined_of_two_calls_is_never_resized() {
        let base = vm::map_aligned(2 * PART, SLAB);
        assert!(base != 0 && page_map::cover(base, 2 * PART));
        for at in [base + PART, base] {
            let part = new_descriptor().expect("memory");
            part.base.store(at, Relaxed);
            part.bytes.store(PART, Relaxed);
            assert!(charge(PART));
            note_mapped(PART);
            put(part);
        }
        let whole = take(2 * PART, SLAB).expect("two neighbours");
        assert_eq!((whole.base.load(Relaxed), whole.bytes.load(Relaxed)), (base, 2 * PART));
        assert!(!whole.grow(4 * PART, SLAB), "its parts may be separate mappings");
        put(whole);
        let third = take(2 * PART / 3, SLAB).expect("a part of it");
        assert_eq!((third.base.load(Relaxed), third.bytes.load(Relaxed)), (base, 2 * PART / 3));
        assert_eq!(extent().cached, 2 * PART - 2 * PART / 3);
        assert!(!third.grow(PART, SLAB), "a part of a joined mapping");
        put(third);
        assert_ne!(unmap(Purge::All), 0);
        assert_eq!(extent(), Extent::default());
    }
}
