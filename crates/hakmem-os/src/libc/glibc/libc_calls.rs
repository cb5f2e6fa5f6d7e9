//! The C library's own allocator and loader, found at run time and on rare paths only, for blocks that libc made and for
//! `dlopen`. Looking a name up may itself allocate, so no lock may be held.
//!
//! # Safety
//! The types given to the looked-up functions are those of the C standard and of `dlfcn.h`.

use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One libc function, looked up on first use behind this library in the search order.
pub struct Next {
    name: &'static CStr,
    found: AtomicUsize,
}

impl Next {
    const fn new(name: &'static CStr) -> Next {
        Next { name, found: AtomicUsize::new(0) }
    }

    /// Its address; 0 where there is none, as in a static program.
    pub fn address(&self) -> usize {
        let known = self.found.load(Relaxed);
        if known != 0 {
            return known;
        }
        // SAFETY: a terminated name; RTLD_NEXT looks behind the object this code is in.
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
    // SAFETY: the bytes are there; the stream is the caller's.
    unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), stream.cast()) };
}

/// The address of the loader's `dlopen`; 0 in a static program.
#[doc(hidden)]
pub extern "C" fn real_dlopen() -> usize {
    DLOPEN.address()
}

/// Defines the exported symbol `dlopen`: the loader's own, but for the flag RTLD_DEEPBIND, which would give the plugin
/// libc's `malloc` and leave the program with blocks of two allocators.
///
/// It is a jump, not a call, so that the loader sees its caller's return address, by which it finds the caller's search
/// path and namespace.
#[macro_export]
macro_rules! export_dlopen {
    () => {
        /// The loader's `dlopen` without RTLD_DEEPBIND.
        ///
        /// # Safety
        /// As `dlopen`: running the plugin's initialisers must be sound.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn dlopen(path: *const core::ffi::c_char, flags: i32) -> *mut core::ffi::c_void {
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {real}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                "and esi, {keep}",
                "test rax, rax",
                "jz 2f",
                "jmp rax",
                "2: ret",
                real = sym $crate::libc_calls::real_dlopen,
                keep = const !$crate::libc_calls::RTLD_DEEPBIND,
            )
        }
    };
}

/// The flag that `export_dlopen` takes away.
pub const RTLD_DEEPBIND: i32 = libc::RTLD_DEEPBIND;

/// The end of the data segment that libc's allocator grows, or 0.
pub fn program_break() -> usize {
    // SAFETY: sbrk(0) moves nothing.
    let end = unsafe { libc::sbrk(0) } as usize;
    if end == usize::MAX { 0 } else { end }
}
