//! Builds the C++ half of `operator new`, and gives the shared library what rustc does not: its soname, and the promise
//! never to be unloaded while threads and blocks refer to it.

fn main() {
    cc::Build::new()
        .cpp(true)
        // No C++ runtime is linked: every symbol of it is weak.
        .cpp_link_stdlib(None)
        .std("c++17")
        .opt_level(2)
        .file("src/cxx.cc")
        .compile("hakmem_cxx");
    println!("cargo:rerun-if-changed=src/cxx.cc");
    // Named here, since the libc crate leaves it to std wherever another package of the build turns its std feature on.
    // And -Bsymbolic-functions: loaded into a program that runs on another allocator, this library's own calls stay its own.
    let arguments = ["-soname,libhakmem.so.0", "-z,nodelete", "-z,defs", "-z,now", "-Bsymbolic-functions"];
    println!("cargo:rustc-cdylib-link-arg=-lc");
    // The compiler's start files would look up symbols of C++ runtimes and call through a page of their own, in every program,
    // and do nothing here: the loader finds the initialisers without them.
    println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
    for argument in arguments.map(|argument| format!("-Wl,{argument}")) {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
