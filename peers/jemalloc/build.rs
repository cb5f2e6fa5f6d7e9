//! jemalloc carries the C names itself. The -sys crate leaves out its C++ file, whose operators are `malloc` and `free` with
//! a new-handler for the failing case; the common ones are exported as exactly that.

use peer_linking::Exports;

fn main() {
    Exports::default()
        .named(&[
            "malloc",
            "calloc",
            "realloc",
            "free",
            "aligned_alloc",
            "posix_memalign",
            "memalign",
            "valloc",
            "malloc_usable_size",
            "mallctl",
        ])
        .aliases(&[
            ("_Znwm", "malloc"),
            ("_Znam", "malloc"),
            ("_ZdlPv", "free"),
            ("_ZdaPv", "free"),
            ("_ZdlPvm", "free"),
            ("_ZdaPvm", "free"),
        ])
        .finish("tikv-jemalloc-sys");
}
