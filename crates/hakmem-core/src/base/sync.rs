//! Small shared types: words and counters that one thread writes, and a lock-free stack of objects that are never
//! unmapped.
//!
//! # Safety
//! A thread may read the link of an object while another thread pops that object. This is sound because objects are
//! type-stable: they are never unmapped and never change their type. The tag in the head makes a pop fail if the link
//! that it read is outdated.

use core::marker::PhantomData;
use core::ptr;
use hakmem_os::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use hakmem_os::vm::ADDRESS_BITS;

/// A number that one thread at a time writes and any thread reads. An addition is a plain increment in machine code.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Adds `n`. Only the owner may call it.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts `n`. Only the owner may call it.
    #[inline(always)]
    pub fn sub(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// Adds `n` to a counter that many threads write. All of them must use this function.
    pub fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The value at some recent moment.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A word that one thread writes, or another thread on its behalf, and any thread reads. A write is a plain store in
/// machine code. Other threads read the value at some recent moment, and can conclude nothing from it about other
/// words.
#[derive(Default)]
pub struct Owned<A>(A);

/// An atomic that can be [`Owned`].
pub trait Word {
    /// The type of the value.
    type Value: Copy;
    /// The value.
    fn load(&self) -> Self::Value;
    /// Stores `value`.
    fn store(&self, value: Self::Value);
}

macro_rules! word {
    ($atomic:ty, $value:ty) => {
        impl Word for $atomic {
            type Value = $value;

            #[inline(always)]
            fn load(&self) -> $value {
                <$atomic>::load(self, Relaxed)
            }

            #[inline(always)]
            fn store(&self, value: $value) {
                <$atomic>::store(self, value, Relaxed);
            }
        }
    };
}

word!(AtomicU32, u32);
word!(AtomicUsize, usize);

impl<A: Word> Owned<A> {
    /// The value.
    #[inline(always)]
    pub fn get(&self) -> A::Value {
        self.0.load()
    }

    /// Stores `value`. Only the owner may call it.
    #[inline(always)]
    pub fn set(&self, value: A::Value) {
        self.0.store(value);
    }

    /// Stores `value`, and returns the old value. Only the owner may call it.
    #[inline(always)]
    pub fn replace(&self, value: A::Value) -> A::Value {
        let old = self.get();
        self.set(value);
        old
    }
}

/// An object that can be put on a [`Stack`].
///
/// # Safety
/// `link` always returns the same field, which only the stack writes while the object is on it. Objects are aligned to
/// 64 bytes and never unmapped.
pub unsafe trait Linked: Sized {
    /// The field that links to the next object.
    fn link(&self) -> &AtomicPtr<Self>;
}

/// A lock-free stack. Its head word holds the address of the top object and a tag that every pop changes. The tag uses
/// the bits that are zero in the address of every object: the lowest six, and those from [`ADDRESS_BITS`] up.
///
/// ```text
///   bit 63     ADDRESS_BITS               6        0
///   +----------------+--------------------+--------+
///   | upper tag bits | bits of the address| 6 tag  |
///   +----------------+--------------------+--------+
/// ```
pub struct Stack<T>(AtomicU64, PhantomData<AtomicPtr<T>>);

/// The bits of the head that hold the address.
const ADDRESS: u64 = (1 << ADDRESS_BITS) - 64;

fn pack(address: u64, tag: u64) -> u64 {
    address | (tag & 63) | (tag >> 6) << ADDRESS_BITS
}

fn tag_of(word: u64) -> u64 {
    (word & 63) | (word >> ADDRESS_BITS) << 6
}

impl<T: Linked> Stack<T> {
    /// An empty stack.
    pub const fn new() -> Stack<T> {
        Stack(AtomicU64::new(0), PhantomData)
    }

    /// Puts `object` on top.
    pub fn push(&self, object: &'static T) {
        let mut head = self.0.load(Relaxed);
        loop {
            object.link().store((head & ADDRESS) as *mut T, Relaxed);
            let new = pack(ptr::from_ref(object) as u64, tag_of(head));
            // Release pairs with Acquire in `pop`, which then finds the link and the content of the object.
            match self.0.compare_exchange_weak(head, new, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Makes the stack empty. It is called in a child just forked, where no other thread uses the stack and the caller
    /// finds the objects by other means.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// Takes the top object; `None` if the stack is empty.
    pub fn pop(&self) -> Option<&'static T> {
        let mut head = self.0.load(Acquire);
        loop {
            let top = (head & ADDRESS) as *mut T;
            if top.is_null() {
                return None;
            }
            // SAFETY: the object was pushed as a `&'static T`, and objects are type-stable.
            let top = unsafe { &*top };
            // If another thread has popped `top` meanwhile, the link may be outdated; then the tag differs and the
            // exchange fails.
            let next = top.link().load(Relaxed);
            let new = pack(next as u64, tag_of(head).wrapping_add(1));
            match self.0.compare_exchange_weak(head, new, AcqRel, Acquire) {
                Ok(_) => return Some(top),
                Err(now) => head = now,
            }
        }
    }
}

impl<T: Linked> Default for Stack<T> {
    fn default() -> Stack<T> {
        Stack::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;
    use std::vec::Vec;

    #[repr(align(64))]
    struct Item(AtomicPtr<Item>, u64);

    // SAFETY: `link` returns one field; items are in a static, which is never dropped, and aligned to 64 bytes.
    unsafe impl Linked for Item {
        fn link(&self) -> &AtomicPtr<Item> {
            &self.0
        }
    }

    #[test]
    fn the_tag_survives_packing() {
        for tag in [0, 1, 63, 64, tag_of(u64::MAX)] {
            let word = pack(0x7FFF_1234_5640, tag);
            assert_eq!(tag_of(word), tag);
            assert_eq!(word & ADDRESS, 0x7FFF_1234_5640);
        }
    }

    #[test]
    fn threads_push_and_pop_without_losing_or_doubling_an_object() {
        static STACK: Stack<Item> = Stack::new();
        // A static, because a leak sanitizer does not find the objects through the packed head.
        static ITEMS: OnceLock<Vec<Item>> = OnceLock::new();
        let items = ITEMS.get_or_init(|| (0..64).map(|n| Item(AtomicPtr::default(), n)).collect());
        items.iter().for_each(|item| STACK.push(item));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let held: Vec<_> = (0..3).filter_map(|_| STACK.pop()).collect();
                        held.into_iter().for_each(|item| STACK.push(item));
                    }
                });
            }
        });
        let mut seen: Vec<u64> = core::iter::from_fn(|| STACK.pop()).map(|item| item.1).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..64).collect::<Vec<_>>());
    }
}
