//! How much of the free memory a purge gives back to the system.

/// Which free memory a purge gives back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purge {
    /// All of it.
    All,
    /// What was free at the last pass of the decay already.
    Aged,
    /// At most this many bytes.
    Bytes(usize),
}

impl Purge {
    /// Returns what is left to do when `bytes` went back.
    pub fn without(self, bytes: usize) -> Purge {
        if let Purge::Bytes(most) = self { Purge::Bytes(most.saturating_sub(bytes)) } else { self }
    }
}
