//! Settings that programs change. A snapshot that was published is never dropped, so equal ones are made once.

use hakmem_core::policy::{self, NUMBERS, Number, Snapshot};
use std::sync::{Mutex, PoisonError};

/// In force at the start of each program. No scavenger, since its thread would be in the allocator at any moment; and
/// the limits of this machine are not read, since they differ from run to run.
static START: Snapshot =
    Snapshot { scavenge_from: 1024 << 30, limit_system: 0, limit_pressure: 0, ..Snapshot::DEFAULT };

/// Settings that programs do not change: the above, and limits, which an operation of its own sets.
const FIXED: [&str; 5] = ["scavenge_from", "limit_system", "limit_pressure", "limit_soft", "limit_hard"];

/// Every snapshot that was published, and the place of the one in force.
static KNOWN: Mutex<(Vec<&'static Snapshot>, usize)> = Mutex::new((Vec::new(), 0));

/// Puts the settings of the start in force.
pub fn reset() {
    publish(|snapshot| *snapshot = START);
}

/// Puts another value of a setting in force: the default, the bounds, or something between them.
pub fn set(number: usize, level: u8) {
    let numbers: Vec<&Number> = NUMBERS.iter().filter(|number| !FIXED.contains(&number.name)).collect();
    let number = numbers[number % numbers.len()];
    let value = match level {
        0..32 => number.default,
        32..64 => number.min,
        64..96 => number.max,
        _ => number.min + ((number.max - number.min) >> (level % 40)),
    };
    publish(|snapshot| number.set(snapshot, value).expect("a value within the bounds"));
}

fn publish(change: impl FnOnce(&mut Snapshot)) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let (all, current) = &mut *known;
    let mut wanted = all.get(*current).map_or(START, |snapshot| **snapshot);
    change(&mut wanted);
    *current = all.iter().position(|snapshot| **snapshot == wanted).unwrap_or_else(|| {
        all.push(Box::leak(Box::new(wanted)));
        all.len() - 1
    });
    policy::publish(all[*current]);
}
