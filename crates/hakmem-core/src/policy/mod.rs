//! The Policy box: every tunable number, as data.
//!
//! It answers for the table of settings, the immutable [`Snapshot`] made from it, and the profiles.
//!
//! - Contract: it computes from the data that it is given. It does not touch the heap, the kernel or the environment.
//!   Its callers pass text as bytes.
//! - Callers: the start of the process, which parses the environment; the slow paths, which read the current snapshot;
//!   the tools, which print the table.
//! - Observable: `hakmem options`, and the snapshot itself.
//!
//! # Safety
//! The pointer to the current snapshot always holds the address of a `&'static` snapshot.

mod settings;

pub use settings::{
    NUMBERS, Number, PROFILES, Problem, Profile, SWITCHES, Snapshot, Switch, apply_profile, parse_number,
};

use core::sync::atomic::{AtomicPtr, Ordering};

static DEFAULT_SNAPSHOT: Snapshot = Snapshot::DEFAULT;
static CURRENT: AtomicPtr<Snapshot> = AtomicPtr::new(&raw const DEFAULT_SNAPSHOT as *mut Snapshot);

/// The snapshot in force. It costs one load, and only slow paths read it.
#[inline]
pub fn current() -> &'static Snapshot {
    // SAFETY: `CURRENT` points to `DEFAULT_SNAPSHOT` or to the `&'static` snapshot of a `publish`.
    // Acquire pairs with Release in `publish`: the contents of the snapshot are seen.
    unsafe { &*CURRENT.load(Ordering::Acquire) }
}

/// Puts `snapshot` in force. A heap uses it from its next slow path on.
pub fn publish(snapshot: &'static Snapshot) {
    CURRENT.store(core::ptr::from_ref(snapshot).cast_mut(), Ordering::Release);
}
