//! Starts the worker under a limit of the system, as a shell does after `ulimit`.
//!
//! # Safety
//! Calls of libc that read or set a limit in a struct of the caller's; the process is replaced right after.

use crate::{worker, workloads::Parameters};
use std::{env, ffi::c_uint, io, mem::MaybeUninit, os::unix::process::CommandExt, process::Command};

/// The parameters that are limits in MiB, and what they limit.
const LIMITS: [(&str, c_uint); 2] = [("address_space", libc::RLIMIT_AS), ("data", libc::RLIMIT_DATA)];

/// Makes the limits in `parameters` hold from the start of the process on: if they do not yet, it starts anew.
pub fn start_under(parameters: &Parameters) -> Result<(), String> {
    for (name, resource) in LIMITS {
        let Some(bytes) = parameters.find(name).map(|mebibytes| mebibytes << 20) else { continue };
        if current(resource) == bytes {
            continue;
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg(worker::NAME).args(env::args_os().skip(2));
        // SAFETY: one system call, which allocates nothing. It is the last one before the new start: under the limit
        // this process may have no room to prepare it.
        unsafe { command.pre_exec(move || set(resource, bytes)) };
        return Err(format!("cannot start under a limit: {}", command.exec()));
    }
    Ok(())
}

fn current(resource: c_uint) -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the call fills the struct it is given; zeroes are a valid one where it fails.
    unsafe {
        libc::getrlimit(resource, limit.as_mut_ptr());
        limit.assume_init().rlim_cur
    }
}

fn set(resource: c_uint, bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the call reads the struct it is given.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
