//! Builds the C++ half of `operator new`, and gives the shared library what rustc does not: its soname, and the flag
//! that it is never unloaded, since threads and blocks refer to it.

fn main() {
    cc::Build::new()
        .cpp(true)
        // No C++ runtime is linked: the library refers to all its symbols weakly.
        .cpp_link_stdlib(None)
        .std("c++17")
        .opt_level(2)
        .file("src/cxx.cc")
        .compile("hakmem_cxx");
    println!("cargo:rerun-if-changed=src/cxx.cc");
    // The C library is named here, since the libc crate leaves it to std wherever another package of the build turns
    // its std feature on. With -Bsymbolic-functions, the library's own calls reach its own functions even in a program
    // that runs on another allocator.
    let arguments = ["-soname,libhakmem.so.0", "-z,nodelete", "-z,defs", "-z,now", "-Bsymbolic-functions"];
    println!("cargo:rustc-cdylib-link-arg=-lc");
    // The compiler's start files are left out: in every program they would look up symbols of C++ runtimes and call
    // through a page of their own, for nothing. The loader finds the initialisers without them.
    println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
    for argument in arguments.map(|argument| format!("-Wl,{argument}")) {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
