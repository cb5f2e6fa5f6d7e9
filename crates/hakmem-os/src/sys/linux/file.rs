//! Files of the kernel, read and written without a heap.
//!
//! It relies on raw system calls, all of which are counted.
//!
//! # Safety
//! The calls read terminated paths and write into the caller's buffer. A file may be the memory of this process: writing to it is
//! unsafe.

use super::kernel::{Call, count};
use crate::arch::syscall::syscall;
use core::ffi::CStr;

/// An open file, which is closed when it is dropped.
pub(crate) struct File(usize);

impl File {
    /// Opens the file at `path` in one of the modes `O_RDONLY` and `O_RDWR`.
    pub(crate) fn open(path: &CStr, mode: i32) -> Option<File> {
        count(Call::Other);
        let at = [libc::AT_FDCWD as usize, path.as_ptr() as usize, (mode | libc::O_CLOEXEC) as usize, 0, 0, 0];
        // SAFETY: a terminated path.
        let fd = unsafe { syscall(libc::SYS_openat, at) };
        (fd >= 0).then_some(File(fd as usize))
    }

    /// Reads the next bytes and returns how many: 0 at the end of the file, `None` where reading fails.
    fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        count(Call::Other);
        let at = [self.0, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
        // SAFETY: writes into the buffer.
        usize::try_from(unsafe { syscall(libc::SYS_read, at) }).ok()
    }

    /// Fills the buffer with what is at `place` in the file; false where that is not possible.
    #[cfg_attr(loom, expect(dead_code))]
    pub(crate) fn read_at(&self, place: usize, buffer: &mut [u8]) -> bool {
        count(Call::Other);
        let at = [self.0, buffer.as_mut_ptr() as usize, buffer.len(), place, 0, 0];
        // SAFETY: writes into the buffer.
        unsafe { syscall(libc::SYS_pread64, at) == buffer.len() as isize }
    }

    /// Writes all of `bytes` to `place` in the file; false where that is not possible.
    ///
    /// # Safety
    /// If the file is the memory of this process, the bytes at `place` may be overwritten.
    #[cfg_attr(loom, expect(dead_code))]
    pub(crate) unsafe fn write_at(&self, place: usize, bytes: &[u8]) -> bool {
        count(Call::Other);
        let at = [self.0, bytes.as_ptr() as usize, bytes.len(), place, 0, 0];
        // SAFETY: reads the bytes; the caller vouches for what is overwritten.
        unsafe { syscall(libc::SYS_pwrite64, at) == bytes.len() as isize }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        count(Call::Other);
        // SAFETY: nothing else uses this descriptor.
        unsafe { syscall(libc::SYS_close, [self.0, 0, 0, 0, 0, 0]) };
    }
}

/// Calls `see` with each line of the file at `path`, until `see` returns true for "enough" or the file ends. A line comes without its
/// newline, and without what follows its first `LONGEST` bytes. Where the file cannot be opened there are no lines. It needs little
/// stack, because a thread that calls `malloc_trim` may have little.
///
/// The kernel may return fewer bytes than were asked for anywhere in a file, so only a read of no bytes is the end. Where a read fails
/// in the middle of a line, `see` does not get that line: half a number would be another number.
pub fn lines<const LONGEST: usize>(path: &CStr, mut see: impl FnMut(&[u8]) -> bool) {
    let Some(file) = File::open(path, libc::O_RDONLY) else { return };
    let (mut chunk, mut line, mut used) = ([0; 256], [0; LONGEST], 0);
    loop {
        let Some(got) = file.read(&mut chunk) else { return };
        for byte in &chunk[..got] {
            if *byte == b'\n' {
                if see(&line[..used]) {
                    return;
                }
                used = 0;
            } else if used < line.len() {
                line[used] = *byte;
                used += 1;
            }
        }
        if got == 0 {
            if used != 0 {
                see(&line[..used]);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::string::String;
    use std::vec::Vec;
    use std::{env, format, fs, process};

    #[test]
    fn lines_are_whole_across_reads_and_end_where_enough_was_seen() {
        let path = env::temp_dir().join(format!("hakmem-lines-{}", process::id()));
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        fs::write(&path, text + "the rest").expect("a file");
        let name = CString::new(path.to_str().expect("a path")).expect("no zero in it");
        let seen_until = |last: &str| {
            let mut seen = Vec::new();
            lines::<8>(&name, |line| {
                seen.push(String::from_utf8_lossy(line).into_owned());
                line == last.as_bytes()
            });
            seen
        };
        let all = seen_until("there is none");
        assert_eq!((all.len(), &all[42][..], &all[100][..]), (101, "line 42", "the rest"));
        assert_eq!(seen_until("line 42"), all[..43]);
        fs::remove_file(&path).expect("removed");
        assert!(seen_until("").is_empty(), "a file that is not there has no lines");
    }
}
