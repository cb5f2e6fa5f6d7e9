//! Small shared parts: words and counters with one writer, and a lock-free stack of objects that are never unmapped.
//!
//! # Safety
//! The stack's links are read while another thread may be taking the object. That is sound because objects are
//! type-stable: once made they stay mapped and stay what they are, and the tag makes a stale exchange fail.

use core::marker::PhantomData;
use core::ptr;
use hakmem_os::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use hakmem_os::vm::ADDRESS_BITS;

/// A number written by one thread at a time and read by any: a plain increment in machine code.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Adds `n`; only the owner may.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away; only the owner may.
    #[inline(always)]
    pub fn sub(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// Adds `n` to a number that many threads write: all of them by this.
    pub fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The value, as of some recent moment.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A word that is always written by the same thread, or by who acts for it, and read by any: a plain load and a plain store in
/// machine code. What others read is the value as of some recent moment, and says nothing about anything else.
#[derive(Default)]
pub struct Owned<A>(A);

/// An atomic that can be [`Owned`].
pub trait Word {
    /// What it holds.
    type Value: Copy;
    /// Its value.
    fn load(&self) -> Self::Value;
    /// Changes it.
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

    /// Changes it; only the owner may.
    #[inline(always)]
    pub fn set(&self, value: A::Value) {
        self.0.store(value);
    }

    /// Changes it, and returns what it was; only the owner may.
    #[inline(always)]
    pub fn replace(&self, value: A::Value) -> A::Value {
        let old = self.get();
        self.set(value);
        old
    }
}

/// An object that can stand in a [`Stack`].
///
/// # Safety
/// `link` always returns the same field, which nothing else writes while the object stands in a stack. Objects are aligned
/// to 64 and never unmapped.
pub unsafe trait Linked: Sized {
    /// The field that holds the next object.
    fn link(&self) -> &AtomicPtr<Self>;
}

/// A lock-free stack. The head packs an address with a tag that changes at every pop. The tag has the bits that an address of
/// an object cannot have: the lowest six, and those above [`ADDRESS_BITS`].
pub struct Stack<T>(AtomicU64, PhantomData<AtomicPtr<T>>);

/// The bits of the head that are the address.
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

    /// Puts an object on top.
    pub fn push(&self, object: &'static T) {
        let mut head = self.0.load(Relaxed);
        loop {
            object.link().store((head & ADDRESS) as *mut T, Relaxed);
            let new = pack(ptr::from_ref(object) as u64, tag_of(head));
            match self.0.compare_exchange_weak(head, new, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Makes the stack empty, in a child just forked, where nobody else uses it and its objects are known by other means.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// Takes the top object.
    pub fn pop(&self) -> Option<&'static T> {
        let mut head = self.0.load(Acquire);
        loop {
            let top = (head & ADDRESS) as *mut T;
            if top.is_null() {
                return None;
            }
            // SAFETY: pushed as a `&'static T`, and type-stable.
            let top = unsafe { &*top };
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

    // SAFETY: one field, kept for ever in a static, aligned to 64.
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
    fn threads_pass_objects_through_the_stack_without_losing_or_doubling_one() {
        static STACK: Stack<Item> = Stack::new();
        // Kept where a leak sanitizer finds them: it does not see through the packed head.
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
