//! tcmalloc's malloc family is, in its own builds, a set of aliases of internal functions; the -sys crate leaves the aliases
//! out, so they are made here, one for one.

use peer_linking::Exports;
use std::{path::Path, process::Command};

fn main() {
    let library =
        Command::new("c++").arg("-print-file-name=libstdc++.a").output().expect("a C++ compiler is installed");
    let library = String::from_utf8(library.stdout).expect("the compiler prints a path");
    let folder = Path::new(library.trim()).parent().expect("the path of a file has a folder");
    println!("cargo::rustc-link-search=native={}", folder.display());
    for library in ["m", "gcc_eh", "gcc"] {
        println!("cargo::rustc-cdylib-link-arg=-l{library}");
    }
    Exports::default()
        .aliases(&[
            ("malloc", "TCMallocInternalMalloc"),
            ("calloc", "TCMallocInternalCalloc"),
            ("realloc", "TCMallocInternalRealloc"),
            ("reallocarray", "TCMallocInternalReallocArray"),
            ("free", "TCMallocInternalFree"),
            ("free_sized", "TCMallocInternalFreeSized"),
            ("free_aligned_sized", "TCMallocInternalFreeAlignedSized"),
            ("cfree", "TCMallocInternalCfree"),
            ("aligned_alloc", "TCMallocInternalAlignedAlloc"),
            ("posix_memalign", "TCMallocInternalPosixMemalign"),
            ("memalign", "TCMallocInternalMemalign"),
            ("valloc", "TCMallocInternalValloc"),
            ("pvalloc", "TCMallocInternalPvalloc"),
            ("malloc_usable_size", "TCMallocInternalMallocSize"),
            ("malloc_trim", "TCMallocInternalMallocTrim"),
            ("_Znwm", "TCMallocInternalNew"),
            ("_Znam", "TCMallocInternalNewArray"),
            ("_ZnwmRKSt9nothrow_t", "TCMallocInternalNewNothrow"),
            ("_ZnamRKSt9nothrow_t", "TCMallocInternalNewArrayNothrow"),
            ("_ZnwmSt11align_val_t", "TCMallocInternalNewAligned"),
            ("_ZnamSt11align_val_t", "TCMallocInternalNewArrayAligned"),
            ("_ZnwmSt11align_val_tRKSt9nothrow_t", "TCMallocInternalNewAlignedNothrow"),
            ("_ZnamSt11align_val_tRKSt9nothrow_t", "TCMallocInternalNewArrayAlignedNothrow"),
            ("_ZdlPv", "TCMallocInternalDelete"),
            ("_ZdaPv", "TCMallocInternalDeleteArray"),
            ("_ZdlPvm", "TCMallocInternalDeleteSized"),
            ("_ZdaPvm", "TCMallocInternalDeleteArraySized"),
            ("_ZdlPvRKSt9nothrow_t", "TCMallocInternalDeleteNothrow"),
            ("_ZdaPvRKSt9nothrow_t", "TCMallocInternalDeleteArrayNothrow"),
            ("_ZdlPvSt11align_val_t", "TCMallocInternalDeleteAligned"),
            ("_ZdaPvSt11align_val_t", "TCMallocInternalDeleteArrayAligned"),
            ("_ZdlPvmSt11align_val_t", "TCMallocInternalDeleteSizedAligned"),
            ("_ZdaPvmSt11align_val_t", "TCMallocInternalDeleteArraySizedAligned"),
            ("_ZdlPvSt11align_val_tRKSt9nothrow_t", "TCMallocInternalDeleteAlignedNothrow"),
            ("_ZdaPvSt11align_val_tRKSt9nothrow_t", "TCMallocInternalDeleteArrayAlignedNothrow"),
        ])
        .finish("libtcmalloc-sys");
}
