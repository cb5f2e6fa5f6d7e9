//! Models of what threads share: the shipped code, its atomics in the hands of the model checker loom. Run by `scripts/model`.
//!
//! Each model says which weakening of the code it was seen to catch; so it can fail. The number behind its name is how often at
//! most a thread that could go on is interrupted in the short form; in the long form `LOOM_MAX_PREEMPTIONS` says another one.
#![cfg(loom)]

mod adoption;
mod bell;
mod blocks;
mod heaps;
mod idle;
mod kept;
mod lock;
mod segments;
mod stack;
