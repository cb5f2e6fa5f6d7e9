//! Threads that churn maps and strings and hand them to each other. A program without an allocator of its own: all its
//! memory comes from malloc.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

/// A small generator of numbers, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Grows, changes and shrinks a map of strings; returns a sum over what is left.
fn churn(seed: u64, rounds: u64) -> u64 {
    let mut numbers = Numbers(seed);
    let mut map: HashMap<u64, String> = HashMap::new();
    for round in 0..rounds {
        let key = numbers.below(5000);
        match numbers.below(4) {
            0 => drop(map.remove(&key)),
            1 => map.entry(key).or_default().push_str(&"x".repeat(numbers.below(90) as usize)),
            _ => drop(map.insert(key, format!("{key}:{round}"))),
        }
        if round % 50_000 == 49_999 {
            map.shrink_to_fit();
        }
    }
    map.iter().map(|(key, text)| key * 31 + text.len() as u64).sum()
}

fn main() {
    let workers: Vec<_> = (1..=6).map(|seed| thread::spawn(move || churn(seed * 7919, 200_000))).collect();
    for worker in workers {
        println!("churn {}", worker.join().expect("no worker panics"));
    }

    // Blocks made by one thread and freed by another.
    let (sender, receiver) = channel::<Vec<Box<[u8]>>>();
    let consumer = thread::spawn(move || receiver.iter().flatten().map(|block| block.len() as u64).sum::<u64>());
    let producers: Vec<_> = (1..=3)
        .map(|seed| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut numbers = Numbers(seed);
                for _ in 0..400 {
                    let batch = (0..200).map(|_| vec![1u8; numbers.below(700) as usize].into_boxed_slice()).collect();
                    sender.send(batch).expect("the consumer listens");
                }
            })
        })
        .collect();
    drop(sender);
    producers.into_iter().for_each(|producer| producer.join().expect("no producer panics"));
    println!("consumed {}", consumer.join().expect("the consumer does not panic"));

    // Many short-lived threads that leave something behind.
    let shared = Arc::new(Mutex::new(BTreeMap::new()));
    for batch in 0..40u64 {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let text = format!("{:0width$}", batch, width = 10 + thread * 40);
                    shared.lock().expect("not poisoned").insert((batch, thread), text);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
    }
    println!("left {}", shared.lock().expect("not poisoned").values().map(String::len).sum::<usize>());

    // One vector that grows to a size of its own mappings.
    let mut growing = Vec::new();
    for value in 0..8_000_000u64 {
        growing.push(value);
    }
    growing.shrink_to(100);
    println!("grown {}", growing.iter().step_by(1000).sum::<u64>());
    std::process::exit(4);
}
