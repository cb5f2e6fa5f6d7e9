//! The exported functions `dlopen` and `syscall`, which jump to another function and leave it their caller's frame. Each is a
//! macro, since an exported symbol belongs to the crate that is linked into the shared library.
//!
//! # Safety
//! The functions follow the C calling convention: arguments in rdi, rsi, rdx, rcx, r8, r9 and on the stack, the result in rax. They
//! change only registers that a callee may change, and return with the stack as they found it.

/// Defines `dlopen`, which calls `$find` for the address of the real function and jumps to it with the flags in `$keep` only. It
/// returns null where the address is 0.
///
/// It is a jump, not a call, because the loader finds the search path and the namespace of its caller by the return address.
#[doc(hidden)]
#[macro_export]
macro_rules! jump_to_dlopen {
    ($find:path, $keep:expr) => {
        /// The loader's `dlopen` without RTLD_DEEPBIND.
        ///
        /// # Safety
        /// As `dlopen`: running the initialisers of the object must be sound.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn dlopen(path: *const core::ffi::c_char, flags: i32) -> *mut core::ffi::c_void {
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                "call {find}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                "and esi, {keep}",
                "test rax, rax",
                "jz 2f",
                "jmp rax",
                "2: ret",
                find = sym $find,
                keep = const $keep,
            )
        }
    };
}

/// Defines `syscall`, which makes any system call as the C library's function of this name does. Only call `$number` goes to
/// `$instead`, with its first three arguments. `$fail` gets the kernel's answer where that is an error.
///
/// It keeps nothing on the stack, since some system calls return twice.
#[doc(hidden)]
#[macro_export]
macro_rules! jump_to_syscall {
    ($number:expr, $instead:path, $fail:path) => {
        /// The C library's `syscall`, which notices when the program is about to install a filter of system calls.
        ///
        /// # Safety
        /// As the call that is made.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn syscall(number: core::ffi::c_long) -> core::ffi::c_long {
            core::arch::naked_asm!(
                "mov rax, rdi",
                "mov rdi, rsi",
                "mov rsi, rdx",
                "mov rdx, rcx",
                "cmp rax, {number}",
                "je {instead}",
                "mov r10, r8",
                "mov r8, r9",
                "mov r9, qword ptr [rsp + 8]",
                "syscall",
                "cmp rax, -4095",
                "jae 2f",
                "ret",
                "2: mov rdi, rax",
                "jmp {fail}",
                number = const $number,
                instead = sym $instead,
                fail = sym $fail,
            )
        }
    };
}
