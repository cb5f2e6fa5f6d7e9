//! Misuse that was noticed under the lock of a heap. To name it is a call of the kernel, so it is named when the lock is free.

use crate::base::guard::{self, Wrong};
use core::cell::Cell;

/// How much is remembered under one lock. What is noticed beyond that is named at once.
const MOST: usize = 4;

/// What is wrong with which pointers.
pub(crate) struct Noticed {
    count: Cell<usize>,
    wrongs: [Cell<(usize, Wrong)>; MOST],
}

impl Noticed {
    pub(super) fn new() -> Noticed {
        Noticed { count: Cell::new(0), wrongs: [const { Cell::new((0, Wrong::Unknown)) }; MOST] }
    }

    /// Notes what is wrong with a block that was freed.
    #[cold]
    pub(super) fn note(&self, block: usize, wrong: Wrong) {
        match self.wrongs.get(self.count.get()) {
            Some(place) => {
                place.set((block, wrong));
                self.count.set(self.count.get() + 1);
            }
            None => guard::report("free", block, wrong),
        }
    }

    /// Names it all.
    pub(super) fn name(&self) {
        for (block, wrong) in self.wrongs.iter().take(self.count.get()).map(Cell::get) {
            guard::report("free", block, wrong);
        }
    }
}
