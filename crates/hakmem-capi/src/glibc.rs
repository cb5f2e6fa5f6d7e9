//! glibc's extensions: trimming, tuning and introspection, answered from this allocator's statistics.
//!
//! # Safety
//! `malloc_info` writes to the stream that it is given.

use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use hakmem_core::stats::{self, Totals};
use hakmem_core::{heap, process};
use hakmem_os::console::Console;
use hakmem_os::libc_calls::write_stream;

/// `malloc_trim`: gives all free memory back; returns 1 if there was any. The pad is ignored: no memory is reserved at
/// the top of a heap here.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(heap::trim())
}

/// `malloc_stats`: prints the statistics as a table on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    if let Some(mut console) = Console::stderr_of_program() {
        process::print(&mut console, false);
    }
}

/// `struct mallinfo2` of `<malloc.h>`; `mallinfo` has the same fields as `int`.
#[repr(C)]
pub struct Info<T> {
    arena: T,
    ordblks: T,
    smblks: T,
    hblks: T,
    hblkhd: T,
    usmblks: T,
    fsmblks: T,
    uordblks: T,
    fordblks: T,
    keepcost: T,
}

/// Fills the fields as near as glibc's meanings allow, so that the seven quantities of the statistics follow from them:
///
/// ```text
///   live = uordblks + hblkhd      cached = fsmblks          mapped = arena + hblkhd
///   dirty = keepcost              metadata = usmblks        free in spans = fordblks - fsmblks - keepcost
///   purged = arena - uordblks - fordblks - usmblks
/// ```
fn info<T: Default>(number: impl Fn(u64) -> T) -> Info<T> {
    let totals = stats::totals();
    let (large_blocks, large_bytes) = stats::live_large();
    Info {
        arena: number(totals.mapped_bytes.saturating_sub(large_bytes)),
        ordblks: number(totals.segments),
        smblks: T::default(),
        hblks: number(large_blocks),
        hblkhd: number(large_bytes),
        usmblks: number(totals.metadata_bytes),
        fsmblks: number(totals.cached_bytes),
        uordblks: number(totals.live_bytes.saturating_sub(large_bytes)),
        fordblks: number(totals.cached_bytes + totals.free_bytes + totals.dirty_bytes),
        keepcost: number(totals.dirty_bytes),
    }
}

/// `mallinfo2`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> Info<usize> {
    info(|number| number as usize)
}

/// `mallinfo`: its fields are too small for most programs of today, so a larger number becomes the largest `int`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> Info<c_int> {
    info(|number| c_int::try_from(number).unwrap_or(c_int::MAX))
}

/// `mallopt`: returns 1 for the parameters that glibc knows. They tune mechanisms that do not exist here, so nothing
/// changes.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, _value: c_int) -> c_int {
    /// M_ARENA_MAX (-8) to M_TRIM_THRESHOLD (-1), and M_MXFAST (1), of glibc's `<malloc.h>`.
    const KNOWN: [c_int; 9] = [-8, -7, -6, -5, -4, -3, -2, -1, 1];
    c_int::from(KNOWN.contains(&parameter))
}

/// Writes text to a C stream.
struct Stream(*mut c_void);

impl Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the caller of `malloc_info` guarantees that the stream is open.
        unsafe { write_stream(self.0, text.as_bytes()) };
        Ok(())
    }
}

/// `malloc_info`: writes the statistics as XML to a stream. Returns 0, or EINVAL for options other than 0, or -1 if the
/// text cannot be formatted.
///
/// # Safety
/// `stream` is an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        return hakmem_os::process::EINVAL;
    }
    match write_xml(&mut Stream(stream), &stats::totals()) {
        Ok(()) => 0,
        Err(fmt::Error) => -1,
    }
}

fn write_xml(out: &mut Stream, totals: &Totals) -> fmt::Result {
    writeln!(out, "<malloc version=\"hakmem-{}\">", env!("CARGO_PKG_VERSION"))?;
    for (name, value, _) in totals.entries() {
        writeln!(out, "<total type=\"{name}\" value=\"{value}\"/>")?;
    }
    writeln!(out, "<sizes>")?;
    for (what, row) in stats::rows().filter(|(_, row)| row.allocations != 0) {
        let live = row.allocations.wrapping_sub(row.frees);
        writeln!(out, "<size block=\"{what}\" allocations=\"{}\" live=\"{live}\"/>", row.allocations)?;
    }
    writeln!(out, "</sizes>\n</malloc>")
}
