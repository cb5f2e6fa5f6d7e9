//! The kernel that programs run on: the real one, with a clock that is turned by hand, and calls that fail on request.
//!
//! # Safety
//! Calls are passed on with the caller's obligations.

use hakmem_os::kernel::{Kernel, real, replace};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

/// The kinds of calls, as bits of the mask.
const MAP: u8 = 1;
const UNMAP: u8 = 2;
const PURGE: u8 = 4;
const REMAP: u8 = 8;
const ADVISE: u8 = 16;

static KINDS: AtomicU8 = AtomicU8::new(0);
/// Good calls left before the bad ones, and how many of these there are.
static LEFT: AtomicI64 = AtomicI64::new(0);
static TIMES: AtomicI64 = AtomicI64::new(0);

static MS: AtomicU64 = AtomicU64::new(START_MS);
const START_MS: u64 = 1000;
static MICROS: AtomicU64 = AtomicU64::new(0);
static STEP: AtomicU64 = AtomicU64::new(1);

fn fails(kind: u8) -> bool {
    KINDS.load(Relaxed) & kind != 0 && (1 - TIMES.load(Relaxed)..=0).contains(&LEFT.fetch_sub(1, Relaxed))
}

static FAKE: Kernel = Kernel {
    map: |hint, len, lazy| if fails(MAP) { 0 } else { (real().map)(hint, len, lazy) },
    // SAFETY: passed on with the caller's obligations.
    unmap: |at, len| !fails(UNMAP) && unsafe { (real().unmap)(at, len) },
    // SAFETY: as above.
    purge: |at, len| !fails(PURGE) && unsafe { (real().purge)(at, len) },
    // SAFETY: as above.
    remap: |at, old, new, to| !fails(REMAP) && unsafe { (real().remap)(at, old, new, to) },
    // SAFETY: as above.
    advise: |at, len, advice| !fails(ADVISE) && unsafe { (real().advise)(at, len, advice) },
    now: || MS.load(Relaxed),
    micros: || MICROS.fetch_add(STEP.load(Relaxed), Relaxed),
};

/// Puts the fake in the kernel's place.
pub fn install() {
    heal();
    replace(Some(&FAKE));
}

/// Lets `times` calls of the kinds in the mask fail after so many good ones.
pub fn fail(after: usize, times: usize, kinds: u8) {
    LEFT.store(after as i64, Relaxed);
    TIMES.store(times as i64, Relaxed);
    KINDS.store(kinds, Relaxed);
}

/// Lets all calls succeed.
pub fn heal() {
    KINDS.store(0, Relaxed);
}

/// Whether calls may fail.
pub fn is_ill() -> bool {
    KINDS.load(Relaxed) != 0
}

/// Turns the clock.
pub fn tick(ms: u64, micros: u64) {
    MS.fetch_add(ms, Relaxed);
    STEP.store(micros, Relaxed);
}
