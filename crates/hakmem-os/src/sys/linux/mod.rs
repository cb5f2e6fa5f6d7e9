//! The Linux kernel.
pub mod cgroup;
pub mod confinement;
pub mod console;
pub mod file;
pub mod fork;
pub mod futex;
pub mod helper;
pub mod kernel;
pub mod task;
pub mod vm;
