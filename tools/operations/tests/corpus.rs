//! The corpus of the fuzz target, replayed by an ordinary test; and programs of random bytes, the same at each run.

use hakmem_operations::{Program, run};
use std::path::Path;

#[test]
fn every_program_of_the_corpus_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/operations");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(files.len() > 20, "{} programs", files.len());
    for file in files {
        // The output is shown when the test fails; the last step has the fault.
        println!("{}", file.display());
        run(&Program::read(&std::fs::read(file).expect("a readable file")));
    }
}

/// xorshift64*: the same sequence in every run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

#[test]
fn programs_of_random_bytes_run() {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    for number in 0..80 {
        let length = random(&mut state) >> 32 & 0x3FF;
        let bytes: Vec<u8> = (0..length).map(|_| (random(&mut state) >> 56) as u8).collect();
        println!("random program {number}");
        run(&Program::read(&bytes));
    }
}
