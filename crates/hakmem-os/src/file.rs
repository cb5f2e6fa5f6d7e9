//! Small files of the kernel's, read without a heap.
//!
//! # Safety
//! The calls read terminated paths and write into the caller's buffer.

use crate::kernel::{Call, count};
use crate::syscall::syscall;
use core::ffi::CStr;

/// A file open for reading; closed when dropped.
struct File(usize);

impl File {
    fn open(path: &CStr) -> Option<File> {
        count(Call::Other);
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let at = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags as usize, 0, 0, 0];
        // SAFETY: a terminated path.
        let fd = unsafe { syscall(libc::SYS_openat, at) };
        (fd >= 0).then_some(File(fd as usize))
    }

    /// Reads what comes next; 0 at the end and where reading fails.
    fn read(&self, buffer: &mut [u8]) -> usize {
        let at = [self.0, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
        // SAFETY: writes into the buffer.
        usize::try_from(unsafe { syscall(libc::SYS_read, at) }).unwrap_or(0)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: this descriptor is ours.
        unsafe { syscall(libc::SYS_close, [self.0, 0, 0, 0, 0, 0]) };
    }
}

/// Calls `see` with each line of the file at `path`, without its end, cut off after `LONGEST` bytes; nothing where the file
/// cannot be read. It needs little stack, which a thread that trims may have.
pub fn lines<const LONGEST: usize>(path: &CStr, mut see: impl FnMut(&[u8])) {
    let Some(file) = File::open(path) else { return };
    let (mut chunk, mut line, mut used) = ([0; 256], [0; LONGEST], 0);
    loop {
        let got = file.read(&mut chunk);
        for byte in &chunk[..got] {
            if *byte == b'\n' {
                see(&line[..used]);
                used = 0;
            } else if used < line.len() {
                line[used] = *byte;
                used += 1;
            }
        }
        if got == 0 {
            return if used != 0 {
                see(&line[..used])
            };
        }
    }
}
