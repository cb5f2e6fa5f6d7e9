//! What the worker process does: run one workload under the allocator it was started with and report on it.
//!
//! # Safety
//! Functions of the library under test are called with the types that its headers declare.

use crate::{
    calls, limits,
    meter::{Measurement, Meter, Settling},
    workloads::{self, Parameters, memory},
};
use std::{
    env,
    ffi::{CStr, c_char, c_int, c_void},
    iter, mem,
    process::ExitCode,
    ptr,
};

/// The first argument that makes the command a worker: every run starts the command itself again in this way, so that
/// one file is all there is to install.
pub const NAME: &str = "bench-worker";

/// If this process is to be a worker, runs it and returns how it ended. The command's `main` calls this before all else.
pub fn worker_main() -> Option<ExitCode> {
    let mut arguments = env::args().skip(1);
    (arguments.next()? == NAME).then(|| run(arguments.collect()))
}

/// Runs the workload that `arguments` name and prints its measurement as one line of JSON.
fn run(arguments: Vec<String>) -> ExitCode {
    match measure(&arguments) {
        Ok(measurement) => {
            println!("{}", serde_json::to_string(&measurement).expect("a measurement is plain data"));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{NAME}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `workload [--settle=SECONDS] [--ceiling] [--count-calls] name=number ...`
fn measure(arguments: &[String]) -> Result<Measurement, String> {
    let (options, words): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|word| word.starts_with("--"));
    let (name, words) = words.split_first().unwrap_or((&"", &[]));
    let workload = workloads::find(name).ok_or_else(|| {
        let names: Vec<_> = workloads::all().map(|workload| workload.name).collect();
        format!("there is no workload `{name}`; there is {}", names.join(", "))
    })?;
    let parameters = Parameters::parse(words.iter().copied())?;
    let body = if options.contains(&"--ceiling") { workload.ceiling } else { Some(workload.run) };
    let body = body.ok_or_else(|| format!("`{name}` has no ceiling"))?;

    if options.contains(&"--count-calls") {
        return count_calls(arguments);
    }
    limits::start_under(&parameters)?;
    let idle = options.iter().find_map(|option| option.strip_prefix("--settle="));
    let idle = idle.map(|text| text.parse().map_err(|_| format!("`--settle={text}` is no number of seconds")));
    let trim = if memory::WORKLOADS.iter().any(|about| about.name == workload.name) { own_trim() } else { None };
    if options.contains(&"--mark") {
        calls::begin_marking();
    }

    let mut meter = Meter::new(idle.transpose()?.map(|idle| Settling { idle, trim }));
    body(&parameters, &mut meter);
    let mut measurement = meter.finish();
    measurement.malloc_library = malloc_library();
    measurement.version = version();
    Ok(measurement)
}

/// Has the same run made by a child whose system calls are counted.
fn count_calls(arguments: &[String]) -> Result<Measurement, String> {
    let same = arguments.iter().map(|word| if word == "--count-calls" { "--mark".to_owned() } else { word.clone() });
    let words: Vec<String> = iter::once(NAME.to_owned()).chain(same).collect();
    let (output, calls) = calls::count(&words).map_err(|error| format!("{error:#}"))?;
    let measurement: Measurement = serde_json::from_str(&output).map_err(|error| format!("{error} in `{output}`"))?;
    Ok(Measurement { system_calls: Some(calls), ..measurement })
}

/// The `malloc_trim` of the library that `malloc` comes from. Most libraries have none, and a program that calls it
/// trims the empty heap of libc.
fn own_trim() -> Option<extern "C" fn(usize) -> c_int> {
    let trim = symbol(c"malloc_trim")?;
    if library_of(trim) != malloc_library() {
        return None;
    }
    // SAFETY: `int malloc_trim(size_t)`, as malloc.h declares it.
    Some(unsafe { mem::transmute::<*mut c_void, extern "C" fn(usize) -> c_int>(trim) })
}

/// The file in which the dynamic linker found `malloc`.
fn malloc_library() -> String {
    symbol(c"malloc").map(library_of).unwrap_or_default()
}

/// The file that a function lies in.
fn library_of(function: *mut c_void) -> String {
    // SAFETY: dladdr fills the struct it is given, and its strings live as long as the library stays loaded.
    unsafe {
        let mut info: libc::Dl_info = mem::zeroed();
        if libc::dladdr(function, &mut info) == 0 || info.dli_fname.is_null() {
            return String::new();
        }
        CStr::from_ptr(info.dli_fname).to_string_lossy().into_owned()
    }
}

/// What the allocator says it is: the name of its sources, where it was built with them, and its own version number.
fn version() -> String {
    let said: Vec<String> = [text_from(c"peer_version"), own_version()].into_iter().flatten().collect();
    said.join(", ")
}

/// The version that the allocator itself answers with, by whichever function it has for that.
fn own_version() -> Option<String> {
    if let Some(version) = text_from(c"hak_version") {
        return Some(format!("hakmem {version}"));
    }
    if let Some(function) = symbol(c"mi_version") {
        // SAFETY: mimalloc declares `int mi_version(void)`.
        let number = unsafe { mem::transmute::<*mut c_void, extern "C" fn() -> c_int>(function) }();
        return Some(mimalloc_version(number));
    }
    if let Some(function) = symbol(c"mallctl") {
        return jemalloc_version(function);
    }
    if let Some(function) = symbol(c"tc_version") {
        type TcVersion = extern "C" fn(*mut c_int, *mut c_int, *mut *const c_char) -> *const c_char;
        // SAFETY: gperftools declares it so, allows null pointers for all three parts, and returns a static string.
        let text = unsafe {
            let function = mem::transmute::<*mut c_void, TcVersion>(function);
            CStr::from_ptr(function(ptr::null_mut(), ptr::null_mut(), ptr::null_mut()))
        };
        return Some(text.to_string_lossy().into_owned());
    }
    if symbol(c"peer_version").is_some() {
        return None;
    }
    text_from(c"gnu_get_libc_version").map(|version| format!("glibc {version}"))
}

/// mimalloc's version number is two digits each for major, minor and patch; version 2 used one digit each.
fn mimalloc_version(number: c_int) -> String {
    let (major, minor, patch) = if number >= 10_000 {
        (number / 10_000, number / 100 % 100, number % 100)
    } else {
        (number / 100, number / 10 % 10, number % 10)
    };
    format!("mimalloc {major}.{minor}.{patch}")
}

fn jemalloc_version(mallctl: *mut c_void) -> Option<String> {
    type Mallctl = extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;
    let mut text: *const c_char = ptr::null();
    let mut size = mem::size_of_val(&text);
    // SAFETY: jemalloc declares mallctl so; "version" stores a pointer to a static string.
    unsafe {
        let mallctl = mem::transmute::<*mut c_void, Mallctl>(mallctl);
        let failed = mallctl(c"version".as_ptr(), (&raw mut text).cast(), &mut size, ptr::null_mut(), 0);
        (failed == 0 && !text.is_null()).then(|| format!("jemalloc {}", CStr::from_ptr(text).to_string_lossy()))
    }
}

/// What a function without arguments that returns a static string says, if there is such a function.
fn text_from(name: &CStr) -> Option<String> {
    let function = symbol(name)?;
    // SAFETY: every name passed here belongs to a function declared `const char *name(void)` that returns static text.
    let text = unsafe { CStr::from_ptr(mem::transmute::<*mut c_void, extern "C" fn() -> *const c_char>(function)()) };
    Some(text.to_string_lossy().into_owned())
}

/// The address that the dynamic linker gives the program for `name`.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends in a zero byte.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mimalloc_numbers_of_both_forms_are_read() {
        assert_eq!(mimalloc_version(209), "mimalloc 2.0.9");
        assert_eq!(mimalloc_version(30403), "mimalloc 3.4.3");
    }

    #[test]
    fn a_process_without_a_preload_has_libc_s_malloc() {
        assert!(malloc_library().contains("libc.so"), "{}", malloc_library());
        assert!(version().starts_with("glibc 2."), "{}", version());
    }
}
