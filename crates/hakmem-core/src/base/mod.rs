//! What everything else rests on: sizes, shared words, the account of memory, the reports of misuse, the wake-up of the scavenger.

pub mod sizes;
pub mod sync;
pub mod demand;
pub mod accounting;
pub mod guard;
pub mod foreign;
pub mod wake_up;
