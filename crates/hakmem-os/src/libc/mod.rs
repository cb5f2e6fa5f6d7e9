//! What differs from one C library to another.
pub mod glibc;
