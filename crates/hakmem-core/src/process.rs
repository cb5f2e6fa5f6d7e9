//! Start and end of the process: it reads the settings from the environment and registers for forks at the start, and
//! prints the statistics at the end.
//!
//! # Safety
//! The environment is that which the loader passed: an array of terminated strings that ends with a null pointer.

use crate::base::guard::{self, OnMisuse};
use crate::heap;
use crate::map::metadata;
use crate::policy::{self, NUMBERS, PROFILES, Problem, SWITCHES, Snapshot};
use crate::reclaim::limits;
use crate::scavenger;
use crate::stats;
use core::ffi::{CStr, c_char};
use core::fmt::Write;
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use hakmem_os::console::{self, Console};
use hakmem_os::{fork, pin, process};

const PREFIX: &[u8] = b"HAKMEM_";
const PATH_MAX: usize = 4096;

/// What is printed at the end: 0 for nothing, 1 for a table, 2 for JSON.
static REPORT: AtomicU8 = AtomicU8::new(0);
/// The copy of standard error to which the statistics are printed if there is no file; -1 if there is none.
static REPORT_FD: AtomicI32 = AtomicI32::new(-1);
/// Whether there may be a scavenger.
static SCAVENGER: AtomicBool = AtomicBool::new(true);
/// The path of the file to which the statistics are appended; null if there is none.
static REPORT_FILE: AtomicPtr<[u8; PATH_MAX]> = AtomicPtr::new(core::ptr::null_mut());

/// Reads the settings and registers for forks. It is called once, when the program or the library has been loaded.
///
/// # Safety
/// `environment` is null or the array that the loader passes to initialisers.
pub unsafe fn begin(environment: *const *const c_char) {
    heap::start();
    pin::pin();
    console::remember_stderr();
    fork::prepare(metadata::note_mapped);
    fork::call_in_child(heap::after_fork_in_child);
    if !environment.is_null() {
        // SAFETY: it is not null, so the caller guarantees that the loader passed it.
        unsafe { configure(environment) };
    }
    if SCAVENGER.load(Relaxed) {
        scavenger::allow();
    }
}

/// Puts the settings of the environment in force.
///
/// # Safety
/// `environment` is the array that the loader passes to initialisers.
unsafe fn configure(environment: *const *const c_char) {
    let mut snapshot = Snapshot::DEFAULT;
    // The profile is applied first, so that single settings override it in any order.
    // SAFETY: the caller guarantees that the loader passed `environment`.
    unsafe {
        for (name, value) in variables(environment).filter(|(name, _)| *name == b"HAKMEM_PROFILE") {
            if !policy::apply_profile(&mut snapshot, value) {
                warn_ignored(name, value, &"one of these:", PROFILES.iter().map(|profile| profile.name));
            }
        }
        for (name, value) in variables(environment) {
            apply(&mut snapshot, name, value);
        }
    }
    if REPORT.load(Relaxed) != 0 {
        REPORT_FD.store(console::keep_stderr(), Relaxed);
    }
    if snapshot != Snapshot::DEFAULT
        && let Some(snapshot) = metadata::place(snapshot)
    {
        policy::publish(snapshot);
        limits::set(snapshot.limit_soft, snapshot.limit_hard);
    }
}

/// The variables whose names begin with [`PREFIX`]: their names and values.
///
/// # Safety
/// `environment` is the array that the loader passes to initialisers.
unsafe fn variables(environment: *const *const c_char) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    let mut at = environment;
    let all = core::iter::from_fn(move || {
        // SAFETY: the array ends with a null pointer, and `at` does not move past it. The strings are terminated.
        unsafe {
            let text = (*at).as_ref()?;
            at = at.add(1);
            Some(CStr::from_ptr(text).to_bytes())
        }
    });
    all.filter(|text| text.starts_with(PREFIX)).filter_map(|text| {
        let split = text.iter().position(|byte| *byte == b'=')?;
        Some((&text[..split], &text[split + 1..]))
    })
}

/// Applies one variable of the environment, or warns that it is ignored.
fn apply(snapshot: &mut Snapshot, name: &[u8], value: &[u8]) {
    if let Some(number) = NUMBERS.iter().find(|number| number.env.as_bytes() == name) {
        match policy::parse_number(value).and_then(|value| number.set(snapshot, value)) {
            Ok(()) => {}
            Err(Problem::NotANumber) => {
                warn_ignored(name, value, &"a whole number, which K, M or G may follow", []);
            }
            Err(Problem::OutOfBounds) => {
                warn_ignored(name, value, &format_args!("{} to {} {}", number.min, number.max, number.unit), []);
            }
        }
        return;
    }
    match name {
        b"HAKMEM_PROFILE" => {}
        b"HAKMEM_STATS" => match value {
            b"" | b"0" => REPORT.store(0, Relaxed),
            b"1" => REPORT.store(1, Relaxed),
            b"json" => REPORT.store(2, Relaxed),
            _ => warn_ignored(name, value, &"one of these:", ["0", "1", "json"]),
        },
        b"HAKMEM_ON_MISUSE" => match OnMisuse::from_word(value) {
            Some(action) => guard::set_action(action),
            None => warn_ignored(name, value, &"one of these:", OnMisuse::ALL.map(|(word, _)| word)),
        },
        b"HAKMEM_SCAVENGER" => match value {
            b"0" | b"1" => SCAVENGER.store(value == b"1", Relaxed),
            _ => warn_ignored(name, value, &"one of these:", ["0", "1"]),
        },
        b"HAKMEM_STATS_FILE" => set_report_file(name, value),
        _ => warn_ignored(
            name,
            value,
            &"one of these settings:",
            NUMBERS.iter().map(|number| number.env).chain(SWITCHES.iter().map(|switch| switch.env)),
        ),
    }
}

fn set_report_file(name: &[u8], value: &[u8]) {
    if process::is_secure() {
        return warn_ignored(name, value, &"nothing in a program that runs with more rights than its user", []);
    }
    if value.is_empty() || value.len() >= PATH_MAX {
        return warn_ignored(name, value, &"a path of at most 4095 bytes", []);
    }
    // The path is copied because the program may overwrite its environment.
    let mut path = [0; PATH_MAX];
    path[..value.len()].copy_from_slice(value);
    if let Some(path) = metadata::place(path) {
        // Release pairs with Acquire in `end`: the bytes of the path are seen.
        REPORT_FILE.store(core::ptr::from_ref(path).cast_mut(), Release);
    }
}

/// Warns in one line on standard error that a setting is ignored, and says which values are accepted.
fn warn_ignored<'a>(
    name: &[u8],
    value: &[u8],
    accepted: &dyn core::fmt::Display,
    list: impl IntoIterator<Item = &'a str>,
) {
    let Some(mut console) = Console::stderr() else { return };
    // Writing to a console never fails: it drops what cannot be written.
    let _ =
        write!(console, "hakmem: {}={} is ignored; accepted: {accepted}", name.escape_ascii(), value.escape_ascii());
    for item in list {
        let _ = write!(console, " {item}");
    }
    let _ = writeln!(console);
}

/// Looks for blocks freed twice, and prints the statistics if a setting asks for them. It is called when the program
/// ends. It unmaps nothing, because destructors of other libraries run later.
pub fn end() {
    heap::look_through_bins();
    let mode = REPORT.load(Relaxed);
    if mode == 0 {
        return;
    }
    // SAFETY: the pointer is null or leads to a path in metadata memory, which `set_report_file` stored.
    let path = unsafe { REPORT_FILE.load(Acquire).as_ref() };
    let path = path.and_then(|path| CStr::from_bytes_until_nul(path).ok());
    let to_file = path.and_then(Console::append);
    if let Some(mut console) = to_file.or_else(|| Console::stderr_kept_at(REPORT_FD.load(Relaxed))) {
        print(&mut console, mode == 2);
    }
}

/// Writes the statistics to `out`, as JSON or as a table.
pub fn print(out: &mut Console, as_json: bool) {
    // Writing to a console never fails: it drops what cannot be written.
    let _ = if as_json { stats::json(out) } else { stats::table(out) };
}
