//! Models of what threads share: the shipped code, with its atomics under the control of the model checker loom.
//! `scripts/model` runs them.
//!
//! Each model names the weakenings of the code that it was seen to catch, so it can fail. The number behind its name is
//! the most preemptions of a thread that could continue, in the short form; in the long form `LOOM_MAX_PREEMPTIONS`
//! replaces it.
#![cfg(loom)]

mod adoption;
mod blocks;
mod heaps;
mod idle;
mod large_cache;
mod lock;
mod segments;
mod stack;
mod wake_up;
