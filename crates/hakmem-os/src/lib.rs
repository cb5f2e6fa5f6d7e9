//! The kernel and CPU seam.
#![no_std]
