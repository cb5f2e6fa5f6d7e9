//! Facts about this process that the C library knows (its rights, limits, number, and where its data end), `errno`, and `abort`.
//!
//! None of these functions allocates.
//!
//! # Safety
//! Each unsafe block makes one C call with valid arguments; one also reads the program headers, which stay mapped.

/// Whether the process has more rights than its user, because its file is set-user-id or the like. Settings that write files must
/// then be ignored.
pub fn is_secure() -> bool {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// How many file descriptors the process may have; `usize::MAX` if there is no limit.
pub fn file_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes the struct.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if limit.rlim_cur == libc::RLIM_INFINITY { usize::MAX } else { limit.rlim_cur as usize }
}

/// The address at which the program's own data end, from its program headers. The heap that libc grows by `brk` lies behind it.
/// 0 where there are no headers.
pub fn program_end() -> usize {
    // SAFETY: reads the auxiliary vector, and the program headers it points at, which stay mapped.
    let headers = unsafe {
        let first = libc::getauxval(libc::AT_PHDR) as *const libc::Elf64_Phdr;
        let count = libc::getauxval(libc::AT_PHNUM) as usize;
        if first.is_null() { &[][..] } else { core::slice::from_raw_parts(first, count) }
    };
    let own = headers.iter().find(|header| header.p_type == libc::PT_PHDR);
    let slide = own.map_or(0, |own| (headers.as_ptr() as usize).wrapping_sub(own.p_vaddr as usize));
    let ends = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    ends.map(|header| slide.wrapping_add((header.p_vaddr + header.p_memsz) as usize)).max().unwrap_or(0)
}

/// The number of the process.
pub fn id() -> u32 {
    // SAFETY: a call without arguments.
    unsafe { libc::getpid() as u32 }
}

/// Sets this thread's `errno` to ENOMEM.
#[cold]
pub fn set_enomem() {
    set_errno(libc::ENOMEM);
}

/// The error code for memory that is not available.
pub const ENOMEM: i32 = libc::ENOMEM;
/// The error code for an argument that is not allowed.
pub const EINVAL: i32 = libc::EINVAL;

/// Sets this thread's `errno`.
#[cold]
pub fn set_errno(value: i32) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = value };
}

/// This thread's `errno`.
pub fn errno() -> i32 {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() }
}

/// Ends the process with SIGABRT.
pub fn abort() -> ! {
    // SAFETY: does not return.
    unsafe { libc::abort() }
}
