//! Memory as the meter reads it, in a process in which nothing else runs: other tests would come and go beside it.

use hakmem_bench::meter::resident_kib;

#[test]
fn touched_memory_is_seen_as_resident() {
    let before = resident_kib();
    let block = vec![1_u8; 8 << 20];
    let after = resident_kib();
    assert!(after >= before + 8000, "{before} KiB before, {after} KiB after {} bytes", block.len());
}
