//! The lock-free stack.
//!
//! # Safety
//! Items are made of zero bytes, and never unmapped.

use hakmem_core::base::sync::{Linked, Stack};
use hakmem_core::map::metadata;
use hakmem_os::atomic::{AtomicPtr, Cell};
use hakmem_os::model::{explore, spawn};

#[derive(Default)]
#[repr(align(64))]
struct Item {
    link: AtomicPtr<Item>,
    /// Written by whoever has the item.
    held: Cell<usize>,
}

// SAFETY: the cell is touched by whoever took the item off the stack; the models are to show that this is one thread.
unsafe impl Sync for Item {}

// SAFETY: one field; made by `meta`, aligned to 64.
unsafe impl Linked for Item {
    fn link(&self) -> &AtomicPtr<Item> {
        &self.link
    }
}

fn stack_of(items: usize) -> &'static Stack<Item> {
    // SAFETY: numbers and a null pointer: zero is valid.
    let stack = unsafe { metadata::make::<Stack<Item>>() }.expect("memory");
    for _ in 0..items {
        // SAFETY: as above.
        stack.push(unsafe { metadata::make::<Item>() }.expect("memory"));
    }
    stack
}

fn pop(stack: &Stack<Item>) -> Option<&'static Item> {
    let item = stack.pop()?;
    item.held.set(item.held.get() + 1);
    Some(item)
}

fn push(stack: &Stack<Item>, item: &'static Item) {
    item.held.set(item.held.get() - 1);
    stack.push(item);
}

/// How many items stand on the stack, each once and none held.
fn count(stack: &Stack<Item>) -> usize {
    let items =
        core::iter::from_fn(|| pop(stack)).inspect(|item| assert_eq!(item.held.get(), 1, "an item is there twice"));
    items.count()
}

/// Catches: no change of the tag at a pop, `Relaxed` in place of `AcqRel` in `push`, and of `Acquire` in `pop`.
#[test]
fn no_item_is_lost_or_taken_twice() {
    explore("stack, one pops and one reorders", 4, || {
        let stack = stack_of(2);
        let other = spawn(move || {
            let (one, two) = (pop(stack), pop(stack));
            one.into_iter().for_each(|item| push(stack, item));
            two.into_iter().for_each(|item| push(stack, item));
        });
        if let Some(item) = pop(stack) {
            push(stack, item);
        }
        other.join();
        assert_eq!(count(stack), 2);
    });
}
