//! A page that a process and its children share: what a child has to say.
//!
//! # Safety
//! The page is mapped once and never unmapped; its one writer at a time is the child that is tried.

use std::cell::UnsafeCell;
use std::fmt::{self, Write};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

const LENGTH: usize = 1024;

/// Words on a page that is shared with forked children.
pub struct Words {
    length: AtomicUsize,
    text: UnsafeCell<[u8; LENGTH]>,
}

// SAFETY: the length is atomic, and the text is written by one process at a time and read when that has ended.
unsafe impl Sync for Words {}

/// Writes on the page; what does not fit is dropped.
struct Pen<'a>(&'a Words);

impl Words {
    /// A page of its own.
    pub fn map() -> &'static Words {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping; zero is a valid value, and it is never unmapped.
        unsafe {
            let page = libc::mmap(ptr::null_mut(), size_of::<Words>(), access, kind, -1, 0);
            assert_ne!(page, libc::MAP_FAILED, "a page");
            &*page.cast::<Words>()
        }
    }

    /// Forgets what was said.
    pub fn clear(&self) {
        self.length.store(0, Ordering::Release);
    }

    /// Says something more.
    pub fn say(&self, words: fmt::Arguments<'_>) {
        // A pen never fails.
        let _ = Pen(self).write_fmt(words);
    }

    /// What was said.
    pub fn read(&self) -> String {
        let length = self.length.load(Ordering::Acquire).min(LENGTH);
        // SAFETY: the child that wrote has ended.
        let text = unsafe { &*self.text.get() };
        String::from_utf8_lossy(&text[..length]).into_owned()
    }
}

impl Write for Pen<'_> {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        let at = self.0.length.load(Ordering::Relaxed).min(LENGTH);
        let fits = words.len().min(LENGTH - at);
        // SAFETY: the only writer at this moment.
        unsafe { (&mut *self.0.text.get())[at..at + fits].copy_from_slice(&words.as_bytes()[..fits]) };
        self.0.length.store(at + fits, Ordering::Release);
        Ok(())
    }
}
