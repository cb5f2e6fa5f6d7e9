//! Lists of spans, linked through their descriptors.
//!
//! # Safety
//! A list is touched under the lock of the heap that owns it. Spans live in descriptors of segments, for ever.

use super::descriptor::Span;
use core::ptr;
use hakmem_os::atomic::Cell;

/// A heap's spans of one class that have blocks to give, latest first.
pub struct SpanList(Cell<*const Span>);

impl Default for SpanList {
    fn default() -> SpanList {
        SpanList(Cell::new(ptr::null()))
    }
}

impl SpanList {
    /// Takes the first span out.
    pub fn pop(&self) -> Option<&'static Span> {
        let first = self.iter().next()?;
        self.remove(first);
        Some(first)
    }

    /// The spans, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &'static Span> {
        // SAFETY: null or a span, which lives in a descriptor for ever.
        let mut at = unsafe { self.0.get().as_ref() };
        core::iter::from_fn(move || {
            let span = at?;
            // SAFETY: as above.
            at = unsafe { span.next.get().as_ref() };
            Some(span)
        })
    }

    /// Puts `span` first, unless it is listed already.
    pub fn push(&self, span: &'static Span) {
        if span.listed.replace(true) {
            return;
        }
        // SAFETY: null or a span.
        if let Some(first) = unsafe { self.0.get().as_ref() } {
            first.prev.set(span);
        }
        span.next.set(self.0.get());
        span.prev.set(ptr::null());
        self.0.set(span);
    }

    /// Takes `span` out, if it is listed.
    pub fn remove(&self, span: &'static Span) {
        if !span.listed.replace(false) {
            return;
        }
        // SAFETY: null or a span.
        unsafe {
            match span.prev.get().as_ref() {
                Some(prev) => prev.next.set(span.next.get()),
                None => self.0.set(span.next.get()),
            }
            if let Some(next) = span.next.get().as_ref() {
                next.prev.set(span.prev.get());
            }
        }
    }
}
