//! Counts words in several threads with HAKMEM as the global allocator, and prints what the allocator did.
//!
//! Run with `cargo run --release -p hakmem-alloc --example words`.

use hakmem_alloc::Hakmem;
use std::collections::HashMap;

#[global_allocator]
static GLOBAL: Hakmem = Hakmem;

fn count(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

fn main() {
    let text: String = (0..50_000).map(|n| format!("word {} and {} ", n % 997, n % 31)).collect();
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| count(&text))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).next_back().unwrap_or_default()
    });
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (word, count) in counts.iter().take(3) {
        println!("{count:>6} {word}");
    }
    let stats = GLOBAL.stats();
    println!("{} blocks allocated, {} freed, {} heaps", stats.allocations, stats.frees, stats.heaps);
    drop(counts);
    GLOBAL.collect();
    println!("{} bytes live at the end", GLOBAL.stats().live_bytes);
}
