//! Gives the shared library what rustc does not: its soname, and the promise never to be unloaded while threads and blocks
//! refer to it.

fn main() {
    for argument in ["-Wl,-soname,libhakmem.so.0", "-Wl,-z,nodelete", "-Wl,-z,defs", "-Wl,-z,now"] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
