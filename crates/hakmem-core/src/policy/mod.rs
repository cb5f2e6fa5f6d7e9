//! POLICY box: every tunable number, as data.
//!
//! Answers for: the table of settings, the immutable [`Snapshot`] made from it, and the profiles.
//! Contract: data in, decision out. Nothing here touches the heap, the kernel or the environment; text comes in as bytes
//! from whoever read it.
//! Called by: process start (which parses the environment), the cold paths (which read the current snapshot), the tools
//! (which print the table).
//! Observable: `hakmem options`, and the snapshot itself.
//!
//! # Safety
//! The pointer to the current snapshot only ever holds addresses of `&'static` snapshots.

mod settings;

pub use settings::{
    NUMBERS, Number, PROFILES, Problem, Profile, SWITCHES, Snapshot, Switch, apply_profile, parse_number,
};

use core::sync::atomic::{AtomicPtr, Ordering};

static DEFAULT: Snapshot = Snapshot::DEFAULT;
static CURRENT: AtomicPtr<Snapshot> = AtomicPtr::new(&raw const DEFAULT as *mut Snapshot);

/// The snapshot in force. One relaxed-cost load; read it on slow paths only.
#[inline]
pub fn current() -> &'static Snapshot {
    // SAFETY: CURRENT only ever holds DEFAULT or a pointer given to `publish`, which takes a `&'static`.
    unsafe { &*CURRENT.load(Ordering::Acquire) }
}

/// Puts a new snapshot in force. Heaps see it the next time they take a slow path.
pub fn publish(snapshot: &'static Snapshot) {
    CURRENT.store(core::ptr::from_ref(snapshot).cast_mut(), Ordering::Release);
}
