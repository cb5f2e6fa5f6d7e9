//! A Rust program with HAKMEM as its global allocator: nothing else changes.
//!
//! Run with `cargo run -p hakmem-alloc --example global`.

use hakmem_alloc::Hakmem;
use std::collections::BTreeMap;

#[global_allocator]
static GLOBAL: Hakmem = Hakmem;

fn main() {
    let mut lengths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for number in 0..1000_u32 {
        let text = number.pow(2).to_string();
        lengths.entry(text.len()).or_default().push(text);
    }
    for (length, texts) in &lengths {
        println!("{} squares have {length} digits", texts.len());
    }
}
