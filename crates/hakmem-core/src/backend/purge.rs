//! How much of the free memory is to go back to the system.

/// Which free memory is to go back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purge {
    /// All of it.
    All,
    /// What the last pass of the decay found free already.
    Aged,
    /// So many bytes at most.
    Bytes(usize),
}

impl Purge {
    /// What is left to do once `bytes` went back.
    pub fn without(self, bytes: usize) -> Purge {
        if let Purge::Bytes(most) = self { Purge::Bytes(most.saturating_sub(bytes)) } else { self }
    }
}
