//! Large blocks, and the mappings that the large cache holds.

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large, large_cache};
use hakmem_core::map::page_map;
use hakmem_os::atomic::note_write;
use hakmem_os::model::{explore, spawn};

const MIB: usize = 1 << 20;

/// A live large block, which the program may write.
#[derive(Clone, Copy)]
struct Block(usize, usize);

impl Block {
    fn new(bytes: usize) -> Block {
        let block = Block(large::allocate(bytes, 16, false).expect("memory").0, bytes);
        block.write();
        block
    }

    fn write(self) {
        (0..self.1).step_by(MIB).for_each(|at| note_write(self.0 + at));
    }

    fn free(self) {
        self.write();
        assert!(large::free(page_map::entry(self.0), self.0).is_some());
    }
}

/// Checks, while no other thread runs, that the sums are right and that `live` bytes are live.
fn check_sums(live: usize) {
    let extent = large_cache::extent();
    assert_eq!((extent.cached, extent.mapped), (large_cache::count_cached(), live + extent.cached));
}

/// Catches: a cached mapping that is taken out of its slot by a load and a store.
#[test]
fn a_cached_mapping_serves_one_request() {
    explore("large cache, two requests that one cached mapping could serve", 1, || {
        Block::new(4 * MIB).free();
        let other = spawn(|| Block::new(2 * MIB));
        let mine = Block::new(2 * MIB);
        let theirs = other.join();
        theirs.write();
        mine.write();
        assert!(mine.0 + mine.1 <= theirs.0 || theirs.0 + theirs.1 <= mine.0);
        check_sums(4 * MIB);
    });
}

/// Catches: `Relaxed` instead of `AcqRel` where a mapping is put into its slot.
#[test]
fn no_thread_has_a_mapping_that_is_unmapped() {
    explore("large cache, one frees and one unmaps all", 2, || {
        let block = Block::new(2 * MIB);
        let other = spawn(move || block.free());
        large_cache::unmap(Purge::All);
        other.join();
        check_sums(0);
        large_cache::unmap(Purge::All);
        assert_eq!(large_cache::extent(), large_cache::Extent::default());
    });
}
