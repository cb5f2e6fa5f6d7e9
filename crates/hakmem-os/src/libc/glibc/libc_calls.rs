//! Functions of the C library that the allocator calls on rare paths: the library's own allocator, for blocks that it made; its
//! loader, for `dlopen`; and its streams.
//!
//! It relies on `dlsym`, since the shared library exports functions of the same names. Looking a name up may allocate, so the caller
//! holds no lock.
//!
//! # Safety
//! Each address that was looked up is called with the type that the C standard or `dlfcn.h` gives to the function of that name.

use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A function of libc, looked up when it is first used, in the objects that come after this one in the search order. The address is
/// relaxed: two threads that look it up at once find the same one, and nothing else depends on it.
pub struct Next {
    name: &'static CStr,
    found: AtomicUsize,
}

impl Next {
    const fn new(name: &'static CStr) -> Next {
        Next { name, found: AtomicUsize::new(0) }
    }

    /// The address of the function; 0 where there is none, as in a static program.
    pub fn address(&self) -> usize {
        let known = self.found.load(Relaxed);
        if known != 0 {
            return known;
        }
        // SAFETY: a terminated name; RTLD_NEXT begins behind the object that this code is in.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) } as usize;
        self.found.store(address, Relaxed);
        address
    }
}

static FREE: Next = Next::new(c"free");
static REALLOC: Next = Next::new(c"realloc");
static USABLE_SIZE: Next = Next::new(c"malloc_usable_size");
static DLOPEN: Next = Next::new(c"dlopen");

/// libc's own `free`; false where there is none.
///
/// # Safety
/// `block` must be a live block of libc's allocator.
pub unsafe fn free(block: *mut c_void) -> bool {
    let address = FREE.address();
    if address != 0 {
        // SAFETY: this is libc's `free`, and the block is libc's.
        unsafe { transmute::<usize, unsafe extern "C" fn(*mut c_void)>(address)(block) };
    }
    address != 0
}

/// libc's own `realloc`; null where there is none or it fails.
///
/// # Safety
/// `block` must be a live block of libc's allocator.
pub unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    let address = REALLOC.address();
    if address == 0 {
        return core::ptr::null_mut();
    }
    // SAFETY: this is libc's `realloc`, and the block is libc's.
    unsafe { transmute::<usize, unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void>(address)(block, size) }
}

/// libc's own `malloc_usable_size`; 0 where there is none.
///
/// # Safety
/// `block` must be a live block of libc's allocator.
pub unsafe fn usable_size(block: *mut c_void) -> usize {
    let address = USABLE_SIZE.address();
    if address == 0 {
        return 0;
    }
    // SAFETY: this is libc's `malloc_usable_size`, and the block is libc's.
    unsafe { transmute::<usize, unsafe extern "C" fn(*mut c_void) -> usize>(address)(block) }
}

/// Writes `bytes` to a C stream.
///
/// # Safety
/// `stream` is an open stream.
pub unsafe fn write_stream(stream: *mut c_void, bytes: &[u8]) {
    // SAFETY: `fwrite` reads the bytes of the slice; the caller vouches for the stream.
    unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), stream.cast()) };
}

/// The address of the loader's `dlopen`; 0 in a static program.
#[doc(hidden)]
pub extern "C" fn real_dlopen() -> usize {
    DLOPEN.address()
}

/// The flag that `export_dlopen` removes.
pub const RTLD_DEEPBIND: i32 = libc::RTLD_DEEPBIND;

/// The end of the data segment, which libc's allocator grows; 0 where it is not known.
pub fn program_break() -> usize {
    // SAFETY: sbrk(0) moves nothing.
    let end = unsafe { libc::sbrk(0) } as usize;
    if end == usize::MAX { 0 } else { end }
}
