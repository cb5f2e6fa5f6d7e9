//! rpmalloc's own override: C and C++ families as aliases of its functions, and `pthread_create`, which it wraps to set up each
//! thread's heap.

use peer_linking::{C_FAMILY, Exports, source_of};

fn main() {
    // As rpmalloc's own build does it: -O3, with the override and the thread handlers in the library.
    cc::Build::new()
        .file(source_of("rpmalloc-sys").join("rpmalloc/rpmalloc/rpmalloc.c"))
        .define("_GNU_SOURCE", "1")
        .define("ENABLE_OVERRIDE", "1")
        .define("ENABLE_PRELOAD", "1")
        .define("NDEBUG", None)
        .opt_level(3)
        .warnings(false)
        .cargo_warnings(false)
        .link_lib_modifier("+whole-archive")
        .compile("rpmalloc");
    Exports::default()
        .named(&C_FAMILY)
        .named(&[
            "pthread_create",
            "_Znwm",
            "_Znam",
            "_ZnwmRKSt9nothrow_t",
            "_ZnamRKSt9nothrow_t",
            "_ZnwmSt11align_val_t",
            "_ZnamSt11align_val_t",
            "_ZnwmSt11align_val_tRKSt9nothrow_t",
            "_ZnamSt11align_val_tRKSt9nothrow_t",
            "_ZdlPv",
            "_ZdaPv",
            "_ZdlPvm",
            "_ZdaPvm",
            "_ZdlPvSt11align_val_t",
            "_ZdaPvSt11align_val_t",
            "_ZdlPvmSt11align_val_t",
            "_ZdaPvmSt11align_val_t",
        ])
        .finish("rpmalloc-sys");
}
