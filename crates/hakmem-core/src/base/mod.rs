//! The parts that all other boxes use: size classes, shared words, memory accounting, the demand word, reports of
//! misuse, and the wake-up of the scavenger.

pub mod sizes;
pub mod sync;
pub mod demand;
pub mod accounting;
pub mod guard;
pub mod foreign;
pub mod wake_up;
