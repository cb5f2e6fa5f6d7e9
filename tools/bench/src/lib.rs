//! Compares allocators fairly.
