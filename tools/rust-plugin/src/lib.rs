//! A plugin in Rust with an allocator of its own inside: threads of its own and of the program use it, and what they leave is freed by
//! later calls, also after the program has closed the plugin and opened it again.
//!
//! # Safety
//! `plugin_take` takes only what `plugin_keep` returned.

use hakmem_alloc::Hakmem;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

#[global_allocator]
static GLOBAL: Hakmem = Hakmem;

/// Calls of this plugin since it was loaded.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// What a thread leaves behind at its end.
#[derive(Default)]
struct Late(Vec<String>);

impl Drop for Late {
    fn drop(&mut self) {
        // Allocates and frees once more, when the thread's heap may be given back already.
        self.0 = self.0.iter().map(|word| word.repeat(2)).collect();
    }
}

thread_local! {
    static LATE: RefCell<Late> = RefCell::default();
}

fn work(seed: usize) -> usize {
    LATE.with(|late| late.borrow_mut().0.push(format!("word {seed}")));
    let mut words = BTreeMap::new();
    for n in 0..2000 {
        words.insert(n * 7919 % 2003, "x".repeat(seed % 50 + n % 300));
        if n % 3 == 0 {
            words.remove(&(n / 2));
        }
    }
    // A medium and a large block, so that there is something for the allocator's own thread.
    let mut large = vec![0_u8; 40 << 20];
    large[seed] = 1;
    let medium: Vec<usize> = (0..20_000).collect();
    words.values().map(String::len).sum::<usize>() + medium.len() + usize::from(large[seed])
}

/// Works in this thread and in `threads` of the plugin's own, which end before it returns. How often it was called.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_use(threads: usize) -> usize {
    let own: Vec<_> = (0..threads).map(|seed| thread::spawn(move || work(seed))).collect();
    let sum = work(threads) + own.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<usize>();
    assert!(sum > 20_000 * threads);
    CALLS.fetch_add(1, Relaxed) + 1
}

/// Something that only [`plugin_take`] can free.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_keep() -> *mut Vec<String> {
    Box::into_raw(Box::new((0..1000).map(|n| n.to_string()).collect()))
}

/// Frees what [`plugin_keep`] returned. How many strings it was.
///
/// # Safety
/// `kept` is from [`plugin_keep`], and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_take(kept: *mut Vec<String>) -> usize {
    // SAFETY: the caller's.
    let kept = unsafe { Box::from_raw(kept) };
    kept.iter().enumerate().filter(|(n, word)| **word == n.to_string()).count()
}
