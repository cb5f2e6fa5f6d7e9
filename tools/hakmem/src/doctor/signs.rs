//! What gives an allocator, a sanitizer or a memory pool of its own away: names in symbol tables, text in the file.

/// What a symbol says about the program that defines or uses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Meaning {
    /// `malloc` itself: whoever defines it has an allocator, whoever imports it is served by the first that does.
    Malloc,
    /// An allocator of this name, which serves its caller instead of HAKMEM.
    Allocator(&'static str),
    /// HAKMEM itself.
    Hakmem,
    /// A sanitizer, whose own malloc must win.
    Sanitizer(&'static str),
    /// Memory that is kept apart from malloc, and what can be done.
    Pool(&'static str),
}

const PYTHON: Meaning = Meaning::Pool(
    "Python takes objects of up to 512 bytes from pools of its own; PYTHONMALLOC=malloc in the environment gives them to HAKMEM",
);
const GO: Meaning = Meaning::Pool("Go has a heap of its own; only the parts written in C use malloc");
const V8: Meaning = Meaning::Pool("JavaScript objects live in V8's own heap; buffers and the native parts use malloc");
const JAVA: Meaning = Meaning::Pool("Java objects live in the virtual machine's own heap; the native parts use malloc");

/// Symbols by name.
pub const SYMBOLS: &[(&str, Meaning)] = &[
    ("malloc", Meaning::Malloc),
    ("je_malloc", Meaning::Allocator("jemalloc")),
    ("_rjem_malloc", Meaning::Allocator("jemalloc")),
    ("mallocx", Meaning::Allocator("jemalloc")),
    ("rallocx", Meaning::Allocator("jemalloc")),
    ("mi_malloc", Meaning::Allocator("mimalloc")),
    ("mi_heap_malloc", Meaning::Allocator("mimalloc")),
    ("mi_malloc_aligned", Meaning::Allocator("mimalloc")),
    ("tc_malloc", Meaning::Allocator("tcmalloc")),
    ("rpmalloc", Meaning::Allocator("rpmalloc")),
    ("sn_malloc", Meaning::Allocator("snmalloc")),
    ("sn_rust_alloc", Meaning::Allocator("snmalloc")),
    ("scalable_malloc", Meaning::Allocator("tbbmalloc")),
    ("__scudo_print_stats", Meaning::Allocator("scudo")),
    ("hak_malloc", Meaning::Hakmem),
    ("__asan_init", Meaning::Sanitizer("AddressSanitizer")),
    ("__hwasan_init", Meaning::Sanitizer("HWAddressSanitizer")),
    ("__lsan_init", Meaning::Sanitizer("LeakSanitizer")),
    ("__msan_init", Meaning::Sanitizer("MemorySanitizer")),
    ("__tsan_init", Meaning::Sanitizer("ThreadSanitizer")),
    ("PyObject_Malloc", PYTHON),
    ("Py_BytesMain", PYTHON),
    ("runtime.mallocgc", GO),
    ("JLI_Launch", JAVA),
    ("_ZN2v87Isolate3NewERKNS0_12CreateParamsE", V8),
];

/// Text that only these allocators have in their messages, for programs whose symbol table is stripped.
pub const TEXTS: &[(&str, Meaning)] = &[
    ("not a block of any allocator known here", Meaning::Hakmem),
    ("<jemalloc>", Meaning::Allocator("jemalloc")),
    ("mimalloc: ", Meaning::Allocator("mimalloc")),
    ("tcmalloc: large alloc", Meaning::Allocator("tcmalloc")),
];

/// What the symbol called `name` means, if anything.
pub fn meaning(name: &[u8]) -> Option<Meaning> {
    SYMBOLS.iter().find(|(symbol, _)| symbol.as_bytes() == name).map(|(_, meaning)| *meaning)
}
