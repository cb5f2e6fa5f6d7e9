//! The books after misuse that was noticed: every equation of the validator and of the statistics still holds, and no block is
//! handed out twice.
//!
//! # Safety
//! What is freed here wrongly is what the allocator must notice; nothing is read or written through it.

mod common;

use common::check_books;
use hakmem_core::base::guard::{self, OnMisuse};
use hakmem_core::debug::validate;
use hakmem_core::heap::{self, allocate, free};
use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;

/// The books are the process's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `misuse` in a thread of its own, whose heap is emptied when it ends: it must be noticed `times`, and the books must be
/// right in the thread, after it, and once everything that was allocated is free.
fn noticed(times: usize, size: usize, misuse: impl FnOnce(Vec<usize>) -> Vec<usize> + Send + 'static) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|failed| failed.into_inner());
    guard::set_action(OnMisuse::Ignore);
    let before = guard::reports();
    let live = thread::spawn(move || {
        let blocks = (0..300).map(|_| allocate(size) as usize).collect();
        let live = misuse(blocks);
        heap::look_through_bins();
        validate().expect("the books in the thread");
        live
    });
    let live: HashSet<usize> = live.join().expect("the thread").into_iter().collect();
    assert_eq!(guard::reports() - before, times, "reports");
    validate().expect("the books after the thread");
    check_books();
    // In a thread again: that of the test ends, and empties its heap, when another test is under way.
    let after = move || {
        let more: Vec<usize> = (0..2000).map(|_| allocate(size) as usize).collect();
        let different: HashSet<usize> = more.iter().copied().collect();
        assert_eq!(different.len(), more.len(), "no block is handed out twice");
        assert!(different.is_disjoint(&live), "nor one that is in use");
        // SAFETY: live blocks, each once.
        more.into_iter().chain(live).for_each(|block| unsafe { free(block as *mut u8) });
        validate().expect("the books at the end");
    };
    thread::spawn(after).join().expect("the thread after it");
    check_books();
}

fn free_all(blocks: &[usize]) {
    // SAFETY: what the tests free wrongly is for the allocator to notice.
    blocks.iter().for_each(|block| unsafe { free(*block as *mut u8) });
}

#[test]
fn freed_twice_with_any_number_between() {
    for between in [0, 1, 2, 3, 7, 8, 60, 100, 250] {
        for size in [16, 48, 2000, 30_000] {
            noticed(1, size, move |blocks| {
                free_all(&blocks[..=between]);
                free_all(&blocks[..1]);
                blocks[between + 1..].to_vec()
            });
        }
    }
}

#[test]
fn what_lies_behind_a_block_freed_twice_is_lost_and_counted() {
    for behind in [1, 5, 30] {
        noticed(1, 48, move |blocks| {
            free_all(&blocks[..behind]);
            free_all(&blocks[behind..behind + 10]);
            free_all(&blocks[behind..behind + 1]);
            blocks[behind + 10..].to_vec()
        });
    }
}

#[test]
fn freed_again_after_it_went_back_to_its_span() {
    noticed(1, 48, |blocks| {
        free_all(&blocks[..100]);
        heap::collect();
        free_all(&blocks[50..51]);
        blocks[100..].to_vec()
    });
    noticed(3, 48, |blocks| {
        free_all(&blocks[..100]);
        heap::collect();
        free_all(&[blocks[50], blocks[200], blocks[20], blocks[201], blocks[70]]);
        [&blocks[100..200], &blocks[202..]].concat()
    });
}

#[test]
fn inside_a_block_or_never_handed_out() {
    for inside in [1, 8, 17] {
        noticed(1, 48, move |blocks| {
            free_all(&[blocks[7] + inside]);
            free_all(&[blocks[8], blocks[9]]);
            [&blocks[..8], &blocks[10..]].concat()
        });
    }
    // Of a size that no other test asks for: so the block after the last one begins a run.
    noticed(2, 112, |blocks| {
        let behind = blocks.iter().max().expect("blocks") + 112 * 100;
        free_all(&[behind, blocks[0], behind + 112]);
        blocks[1..].to_vec()
    });
}

#[test]
fn written_to_after_it_was_freed() {
    noticed(1, 48, |blocks| {
        free_all(&blocks[..20]);
        // SAFETY: the block's memory is mapped, and nobody's.
        unsafe { (blocks[10] as *mut usize).write(0x4141_4141) };
        blocks[20..].to_vec()
    });
}

#[test]
fn by_a_thread_that_does_not_own_it() {
    for between in [0, 1, 6] {
        noticed(1, 48, move |blocks| {
            let given: Vec<usize> = blocks[..=between].to_vec();
            let other = move || {
                free_all(&given);
                free_all(&given[..1]);
            };
            thread::spawn(other).join().expect("the other thread");
            heap::collect();
            blocks[between + 1..].to_vec()
        });
    }
    noticed(2, 48, |blocks| {
        let given = blocks.clone();
        thread::spawn(move || free_all(&[given[0] + 8, given[1], given[2] + 1])).join().expect("the other thread");
        [&blocks[..1], &blocks[2..]].concat()
    });
    // By its owner first, then by another.
    noticed(1, 48, |blocks| {
        free_all(&blocks[..10]);
        heap::collect();
        let given = blocks.clone();
        thread::spawn(move || free_all(&given[5..6])).join().expect("the other thread");
        heap::collect();
        blocks[10..].to_vec()
    });
}

#[test]
fn medium_and_large_blocks() {
    for size in [100_000, 3 << 20] {
        noticed(3, size, move |blocks| {
            free_all(&blocks[..5]);
            free_all(&blocks[..2]);
            free_all(&[blocks[10] + 16]);
            blocks[5..].to_vec()
        });
    }
}
