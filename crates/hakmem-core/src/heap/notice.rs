//! Misuse that was noticed under the lock of a heap. A report is a system call, so it is made after the lock is
//! released.

use crate::base::guard::{self, Wrong};
use core::cell::Cell;

/// How many cases are remembered under one lock. Further ones are reported at once.
const CAPACITY: usize = 4;

/// Pointers that were misused, each with the kind of misuse.
pub(crate) struct Noticed {
    count: Cell<usize>,
    wrongs: [Cell<(usize, Wrong)>; CAPACITY],
}

impl Noticed {
    pub(super) fn new() -> Noticed {
        Noticed { count: Cell::new(0), wrongs: [const { Cell::new((0, Wrong::Unknown)) }; CAPACITY] }
    }

    /// Notes the misuse of a block that was freed.
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

    /// Reports all that was noted.
    pub(super) fn report(&self) {
        for (block, wrong) in self.wrongs.iter().take(self.count.get()).map(Cell::get) {
            guard::report("free", block, wrong);
        }
    }
}
