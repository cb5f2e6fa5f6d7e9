//! Facts about this process: secure mode, the end of its data, its number; and setting `errno`.
//!
//! # Safety
//! Each block is one C call with arguments of its own.

/// Whether the process runs with more rights than its user (set-user-id and the like): settings that write files are
/// then not to be trusted.
pub fn is_secure() -> bool {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// How many descriptors the process may have; `usize::MAX` for any number.
pub fn file_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes the struct.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if limit.rlim_cur == libc::RLIM_INFINITY { usize::MAX } else { limit.rlim_cur as usize }
}

/// The address after the program's own data, from its headers: the heap that libc grows by `brk` lies behind it. 0 where
/// the headers are not to be had.
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

/// The process number.
pub fn id() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::getpid() as u32 }
}

/// Sets this thread's `errno` to ENOMEM.
#[cold]
pub fn set_enomem() {
    set_errno(libc::ENOMEM);
}

/// ENOMEM, as `posix_memalign` returns it.
pub const ENOMEM: i32 = libc::ENOMEM;
/// EINVAL, as `posix_memalign` returns it.
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
