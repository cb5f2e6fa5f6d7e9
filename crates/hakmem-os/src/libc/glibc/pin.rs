//! Keeps the object loaded that this code is in. A program may close a plugin that contains the allocator while threads, blocks, the
//! hook at thread exit and the fork handler still refer to it.
//!
//! It relies on the records that the loader shows by `dl_iterate_phdr`, and on `dlopen` of an object that is already loaded.
//!
//! # Safety
//! The loader's records are read while the loader calls back with them; it unloads nothing meanwhile.

use core::ffi::{CStr, c_int, c_void};
use core::ptr;
use core::slice;

/// What the loader says about the object that contains an address.
struct Seen {
    address: usize,
    /// How many objects the loader showed before it. The program comes first.
    before: usize,
    name: *const libc::c_char,
    /// Whether it is never unloaded anyway.
    stays: bool,
}

/// The tag `DT_FLAGS_1`, and in its value the flag for an object that is never unloaded: from glibc's `elf.h`.
const FLAGS_1: i64 = 0x6fff_fffb;
const NO_DELETE: u64 = 8;

/// Keeps this object loaded for ever, unless it is the program itself or marked as never unloaded: it is opened once more and never
/// closed. Called by an initialiser, since nobody can close the object before that has run.
pub fn pin() {
    let mut seen = Seen { address: pin as *const () as usize, before: 0, name: ptr::null(), stays: true };
    // SAFETY: `look` gets the record that it writes to.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut seen).cast()) };
    if !seen.stays && !seen.name.is_null() {
        let open = super::libc_calls::real_dlopen();
        if open != 0 {
            // SAFETY: the address is that of the loader's `dlopen`; the name is the loader's own.
            unsafe {
                let open = core::mem::transmute::<usize, unsafe extern "C" fn(*const libc::c_char, c_int) -> *mut c_void>(
                    open,
                );
                open(seen.name, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
            }
        }
    }
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, seen: *mut c_void) -> c_int {
    // SAFETY: the loader's record, and the one that `pin` passed.
    let (info, seen) = unsafe { (&*info, &mut *seen.cast::<Seen>()) };
    // SAFETY: the headers of an object stay mapped as long as the object is loaded.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let start = |header: &libc::Elf64_Phdr| (info.dlpi_addr + header.p_vaddr) as usize;
    let is_in = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD && seen.address.wrapping_sub(start(header)) < header.p_memsz as usize
    };
    if !headers.iter().any(|header| is_in(&header)) {
        seen.before += 1;
        return 0;
    }
    let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC).map(start);
    // SAFETY: as above; the name is a terminated string.
    let has_name = !info.dlpi_name.is_null() && unsafe { CStr::from_ptr(info.dlpi_name) } != c"";
    seen.name = if has_name { info.dlpi_name } else { ptr::null() };
    // SAFETY: the object's dynamic section, which the loader has read.
    seen.stays = seen.before == 0 || dynamic.is_some_and(|at| unsafe { is_never_unloaded(at as *const [i64; 2]) });
    1
}

/// Whether a dynamic section, pairs of a tag and a value, says that its object is never unloaded.
unsafe fn is_never_unloaded(mut at: *const [i64; 2]) -> bool {
    loop {
        // SAFETY: the section ends with a zero tag.
        let [tag, value] = unsafe { *at };
        match tag {
            0 => return false,
            FLAGS_1 => return value as u64 & NO_DELETE != 0,
            // SAFETY: as above.
            _ => at = unsafe { at.add(1) },
        }
    }
}
