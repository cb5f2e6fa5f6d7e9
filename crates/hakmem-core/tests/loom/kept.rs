//! Large blocks, and the mappings that are kept of them.

use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::{large, large_cache};
use hakmem_core::map::page_map;
use hakmem_os::atomic::note_write;
use hakmem_os::model::{explore, spawn};

const MIB: usize = 1 << 20;

/// A large block in the program's hands, which it may write.
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

/// At rest, the sums are what is there, and so much is live.
fn check_sums(live: usize) {
    let extent = large_cache::extent();
    assert_eq!((extent.kept, extent.mapped), (large_cache::count_kept(), live + extent.kept));
}

/// Catches: a kept mapping that is taken out of its slot by a load and a store.
#[test]
fn what_is_kept_serves_one_request() {
    explore("kept, two requests that one kept mapping could serve", 1, || {
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

/// Catches: `Relaxed` in place of `AcqRel` where a mapping is put into its slot.
#[test]
fn what_is_unmapped_is_in_nobodys_hands() {
    explore("kept, one frees and one gives all back", 2, || {
        let block = Block::new(2 * MIB);
        let other = spawn(move || block.free());
        large_cache::unmap(Purge::All);
        other.join();
        check_sums(0);
        large_cache::unmap(Purge::All);
        assert_eq!(large_cache::extent(), large_cache::Extent::default());
    });
}
