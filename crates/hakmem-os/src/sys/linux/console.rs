//! Writes text to a file descriptor without a heap: a message or a report.
//!
//! It relies on a buffer of fixed size and on raw system calls.
//!
//! # Safety
//! The calls read buffers of this module's own and paths that are terminated strings.

use crate::arch::syscall::syscall;
use core::ffi::CStr;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const STDERR: i32 = libc::STDERR_FILENO;

/// Which file standard error was when it was first looked at: its device and its inode, each plus one. [`CLOSED`] if it was no file,
/// and zeros before the first look. Both words are set when the library is loaded, so they are relaxed.
static STDERR_FILE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
const CLOSED: [u64; 2] = [u64::MAX; 2];

/// Which file is open at descriptor `fd`.
fn file_at(fd: i32) -> [u64; 2] {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    let arguments = [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes the struct, which is valid when zero.
    let (result, stat) = unsafe { (syscall(libc::SYS_fstat, arguments), stat.assume_init()) };
    if result == 0 { [stat.st_dev + 1, stat.st_ino + 1] } else { CLOSED }
}

/// Remembers which file standard error is. Called when the library is loaded, before the program can open files.
pub fn remember_stderr() {
    STDERR_FILE.iter().zip(file_at(STDERR)).for_each(|(place, part)| place.store(part, Relaxed));
}

/// Which file standard error was when the library was loaded.
fn stderr_at_start() -> [u64; 2] {
    let known = || STDERR_FILE.each_ref().map(|part| part.load(Relaxed));
    if known() == [0, 0] {
        // The initialiser of another library may run before ours.
        remember_stderr();
    }
    known()
}

/// Copies the descriptor of standard error and returns the copy, or the original where it cannot be copied. Some programs close
/// standard error before they end, and another file may then get its number. The copy has a number that programs do not rely on, and
/// is closed on exec.
pub fn keep_stderr() -> i32 {
    const OUT_OF_THE_WAY: usize = 200;
    for from in [OUT_OF_THE_WAY, 3] {
        let arguments = [STDERR as usize, libc::F_DUPFD_CLOEXEC as usize, from, 0, 0, 0];
        // SAFETY: no memory is involved.
        let fd = unsafe { syscall(libc::SYS_fcntl, arguments) };
        if fd >= 0 {
            return fd as i32;
        }
    }
    STDERR
}

/// A buffered writer to a file descriptor. When it is dropped it writes what is still in its buffer.
pub struct Console {
    fd: i32,
    owned: bool,
    used: usize,
    buffer: [u8; 1024],
}

impl Console {
    /// Writes to `fd`, which stays open.
    pub fn new(fd: i32) -> Console {
        Console { fd, owned: false, used: 0, buffer: [0; 1024] }
    }

    /// Writes to standard error, if that is still the file that it was when the library was loaded. A program may have been started
    /// without standard error, or have closed it, and have opened a file that got its number: our text would damage that file.
    pub fn stderr() -> Option<Console> {
        Console::stderr_kept_at(STDERR)
    }

    /// Writes to a copy of standard error that [`keep_stderr`] made, on the same condition.
    pub fn stderr_kept_at(fd: i32) -> Option<Console> {
        let file = stderr_at_start();
        (file != CLOSED && file_at(fd) == file).then(|| Console::new(fd))
    }

    /// Writes to standard error, even if the program has put another file in its place: for output that the program asks for. `None`
    /// if the program was started without standard error, since its number may then belong to any file.
    pub fn stderr_of_program() -> Option<Console> {
        (stderr_at_start() != CLOSED).then(|| Console::new(STDERR))
    }

    /// Appends to the file at `path`, which is created if it does not exist; `None` where it cannot be opened.
    pub fn append(path: &CStr) -> Option<Console> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
        let at = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags as usize, 0o644, 0, 0];
        // SAFETY: a terminated path.
        let fd = unsafe { syscall(libc::SYS_openat, at) };
        // Several processes of one program may report to the same file, and each report is to be in one piece. Closing the file unlocks it.
        // SAFETY: no memory is involved.
        unsafe { syscall(libc::SYS_flock, [fd as usize, libc::LOCK_EX as usize, 0, 0, 0, 0]) };
        (fd >= 0).then(|| Console { owned: true, ..Console::new(fd as i32) })
    }

    /// Writes what is in the buffer. What the kernel does not take is lost.
    pub fn flush(&mut self) {
        let mut written = 0;
        while written < self.used {
            let from = self.buffer[written..self.used].as_ptr() as usize;
            // SAFETY: the rest of the buffer.
            let n = unsafe { syscall(libc::SYS_write, [self.fd as usize, from, self.used - written, 0, 0, 0]) };
            if n == -(libc::EINTR as isize) {
                continue;
            }
            if n <= 0 {
                break;
            }
            written += n as usize;
        }
        self.used = 0;
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.used == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.used] = byte;
            self.used += 1;
        }
        Ok(())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.flush();
        if self.owned {
            // SAFETY: nothing else uses this descriptor.
            unsafe { syscall(libc::SYS_close, [self.fd as usize, 0, 0, 0, 0, 0]) };
        }
    }
}
