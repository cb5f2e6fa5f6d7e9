//! Lists of spans, linked through their descriptors.
//!
//! # Safety
//! A list is touched under the lock of the heap that owns it. Spans lie in descriptors of segments, which are never
//! unmapped.

use super::descriptor::Span;
use core::ptr;
use hakmem_os::atomic::Cell;

/// The spans of one class in one heap that have blocks to hand out, the latest first.
pub struct SpanList(Cell<*const Span>);

impl Default for SpanList {
    fn default() -> SpanList {
        SpanList(Cell::new(ptr::null()))
    }
}

impl SpanList {
    /// Removes and returns the first span.
    pub fn pop(&self) -> Option<&'static Span> {
        let first = self.iter().next()?;
        self.remove(first);
        Some(first)
    }

    /// Returns the spans from first to last.
    pub fn iter(&self) -> impl Iterator<Item = &'static Span> {
        // SAFETY: null or a span, whose descriptor is never unmapped.
        let mut at = unsafe { self.0.get().as_ref() };
        core::iter::from_fn(move || {
            let span = at?;
            // SAFETY: as above.
            at = unsafe { span.next.get().as_ref() };
            Some(span)
        })
    }

    /// Puts `span` at the front, unless it is on a list already.
    pub fn push(&self, span: &'static Span) {
        if span.listed.replace(true) {
            return;
        }
        // SAFETY: null or a span, as above.
        if let Some(first) = unsafe { self.0.get().as_ref() } {
            first.prev.set(span);
        }
        span.next.set(self.0.get());
        span.prev.set(ptr::null());
        self.0.set(span);
    }

    /// Removes `span`, if it is on the list.
    pub fn remove(&self, span: &'static Span) {
        if !span.listed.replace(false) {
            return;
        }
        // SAFETY: null or a span, as above.
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
