//! Bytes that libFuzzer chooses, as operations on the allocator. What they mean is told in `tools/operations`, and so is what is
//! checked; `scripts/fuzz` starts it.
#![no_main]

use hakmem_operations::{Program, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| run(&Program::read(bytes)));
