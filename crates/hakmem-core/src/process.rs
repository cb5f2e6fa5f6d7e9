//! The process: settings from its environment at the start, statistics at the end, recovery after a fork.
//!
//! # Safety
//! The environment is the one the loader passed: a null-terminated array of terminated strings.

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

/// What is printed at the end: nothing, a table, JSON.
static REPORT: AtomicU8 = AtomicU8::new(0);
/// The copy of standard error that it is printed to, if not to a file.
static REPORT_FD: AtomicI32 = AtomicI32::new(-1);
/// Whether there may be a scavenger.
static SCAVENGER: AtomicBool = AtomicBool::new(true);
static REPORT_FILE: AtomicPtr<[u8; PATH_MAX]> = AtomicPtr::new(core::ptr::null_mut());

/// Called once when the program or the library has been loaded: reads the settings and registers for forks.
///
/// # Safety
/// `environment` is null or what the loader passes to initialisers.
pub unsafe fn begin(environment: *const *const c_char) {
    heap::start();
    pin::pin();
    console::remember_stderr();
    fork::prepare(metadata::note_mapped);
    fork::call_in_child(heap::after_fork_in_child);
    if !environment.is_null() {
        // SAFETY: the caller's.
        unsafe { configure(environment) };
    }
    if SCAVENGER.load(Relaxed) {
        scavenger::allow();
    }
}

/// Puts the settings of the environment in force.
unsafe fn configure(environment: *const *const c_char) {
    let mut snapshot = Snapshot::DEFAULT;
    // The profile first, so that single settings override it wherever they stand.
    // SAFETY: the caller's.
    unsafe {
        for (name, value) in variables(environment).filter(|(name, _)| *name == b"HAKMEM_PROFILE") {
            if !policy::apply_profile(&mut snapshot, value) {
                refuse(name, value, &"one of these:", PROFILES.iter().map(|profile| profile.name));
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

/// The variables whose names begin with ours.
unsafe fn variables(environment: *const *const c_char) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    let mut at = environment;
    let all = core::iter::from_fn(move || {
        // SAFETY: the array ends with a null pointer, before which `at` stops; its strings are terminated.
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

fn apply(snapshot: &mut Snapshot, name: &[u8], value: &[u8]) {
    if let Some(number) = NUMBERS.iter().find(|number| number.env.as_bytes() == name) {
        match policy::parse_number(value).and_then(|value| number.set(snapshot, value)) {
            Ok(()) => {}
            Err(Problem::NotANumber) => {
                refuse(name, value, &"a whole number, with K, M or G behind it if you like", []);
            }
            Err(Problem::OutOfBounds) => {
                refuse(name, value, &format_args!("{} to {} {}", number.min, number.max, number.unit), []);
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
            _ => refuse(name, value, &"one of these:", ["0", "1", "json"]),
        },
        b"HAKMEM_ON_MISUSE" => match OnMisuse::called(value) {
            Some(action) => guard::set(action),
            None => refuse(name, value, &"one of these:", OnMisuse::ALL.map(|(word, _)| word)),
        },
        b"HAKMEM_SCAVENGER" => match value {
            b"0" | b"1" => SCAVENGER.store(value == b"1", Relaxed),
            _ => refuse(name, value, &"one of these:", ["0", "1"]),
        },
        b"HAKMEM_STATS_FILE" => set_report_file(name, value),
        _ => refuse(
            name,
            value,
            &"one of these settings:",
            NUMBERS.iter().map(|number| number.env).chain(SWITCHES.iter().map(|switch| switch.env)),
        ),
    }
}

fn set_report_file(name: &[u8], value: &[u8]) {
    if process::is_secure() {
        return refuse(name, value, &"nothing in a program that runs with more rights than its user", []);
    }
    if value.is_empty() || value.len() >= PATH_MAX {
        return refuse(name, value, &"a path of at most 4095 bytes", []);
    }
    // The program may overwrite its environment, so the path is copied.
    let mut path = [0; PATH_MAX];
    path[..value.len()].copy_from_slice(value);
    if let Some(path) = metadata::place(path) {
        REPORT_FILE.store(core::ptr::from_ref(path).cast_mut(), Release);
    }
}

/// Warns, in one line, about a setting that is ignored.
fn refuse<'a>(name: &[u8], value: &[u8], accepted: &dyn core::fmt::Display, list: impl IntoIterator<Item = &'a str>) {
    let Some(mut console) = Console::stderr() else { return };
    // A console never fails; what cannot be written is dropped.
    let _ =
        write!(console, "hakmem: {}={} is ignored; accepted: {accepted}", name.escape_ascii(), value.escape_ascii());
    for item in list {
        let _ = write!(console, " {item}");
    }
    let _ = writeln!(console);
}

/// Called when the program ends: looks for blocks freed twice, and prints the statistics if that was asked for. Nothing is unmapped; other libraries'
/// destructors run after this.
pub fn end() {
    heap::look_through_bins();
    let mode = REPORT.load(Relaxed);
    if mode == 0 {
        return;
    }
    // SAFETY: null or a path that `set_report_file` placed, with a zero behind it.
    let path = unsafe { REPORT_FILE.load(Acquire).as_ref() };
    let path = path.and_then(|path| CStr::from_bytes_until_nul(path).ok());
    let to_file = path.and_then(Console::append);
    if let Some(mut console) = to_file.or_else(|| Console::stderr_kept_at(REPORT_FD.load(Relaxed))) {
        print(&mut console, mode == 2);
    }
}

/// Writes the statistics to `out`.
pub fn print(out: &mut Console, as_json: bool) {
    // A console never fails; what cannot be written is dropped.
    let _ = if as_json { stats::json(out) } else { stats::table(out) };
}
