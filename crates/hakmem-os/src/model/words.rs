//! The atomics and the cell of a model.
//!
//! # Safety
//! The wrappers are transparent, so a reference to one is one to the word of `core` inside; an address of one is that of a static
//! or of memory that stays mapped.

use super::{Known, Mode, mode, world};
use core::cell::Cell as PlainCell;
use core::fmt;
use core::ptr;
use core::sync::atomic as plain;
use core::sync::atomic::Ordering;
use loom::sync::atomic as modelled;
use std::collections::HashMap;
use std::rc::Rc;
use std::vec::Vec;

/// Where loom is to consider another order, which it would not see by itself: it remembers the last access to a word only, so that a
/// thread that loads and then writes hides a load of another thread in front of these. So each load also touches an object of
/// its own, and each write those of the loads of other threads. A condition that nobody waits for is such an object: to notify
/// it is a step, and orders nothing.
fn note_access(address: usize, is_load: bool) {
    let me = loom::thread::current().id();
    let steps: Vec<_> = world(|world| {
        let loads = world.loads.entry(address).or_default();
        if is_load && loads.iter().all(|(thread, _)| *thread != me) {
            loads.push((me, Rc::new(loom::sync::Condvar::new())));
        }
        loads.iter().filter(|(thread, _)| (*thread == me) == is_load).map(|(_, step)| step.clone()).collect()
    });
    steps.iter().for_each(|step| step.notify_one());
}

/// A word with its own way to loom.
macro_rules! atomic {
    ($name:ident, $value:ty, $map:ident) => {
        /// The word of `core` by this name, modelled.
        #[repr(transparent)]
        #[derive(Default)]
        pub struct $name(plain::$name);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// A word with this value.
            pub const fn new(value: $value) -> $name {
                $name(plain::$name::new(value))
            }

            /// loom's atomic for it, while several threads run. `order` is that of the access to come.
            fn modelled(&self, order: Ordering) -> Option<Rc<modelled::$name>> {
                let (address, mode) = (self.address(), mode());
                if mode == Mode::Plain {
                    return None;
                }
                let is_strict = mode == Mode::Learning && order == Ordering::SeqCst;
                let made = world(|world| {
                    let known = world.known.entry(address).or_insert_with(|| Known {
                        make: $name::make,
                        put_back: $name::put_back,
                        value: self.0.load(Ordering::Relaxed) as u64,
                        is_strict: false,
                    });
                    known.is_strict |= is_strict;
                    world.$map.get(&address).cloned()
                });
                if mode != Mode::Exploring || made.is_some() {
                    return made;
                }
                $name::make(address, false);
                world(|world| world.$map.get(&address).cloned())
            }

            pub(super) fn address(&self) -> usize {
                ptr::from_ref(self) as usize
            }

            fn make(address: usize, is_strict: bool) {
                // SAFETY: the address of such a word, in a static or in memory that stays mapped.
                let value = unsafe { &*(address as *const plain::$name) }.load(Ordering::Relaxed);
                let made = Rc::new(modelled::$name::new(value));
                if is_strict {
                    made.store(value, Ordering::SeqCst);
                }
                world(|world| world.$map.insert(address, made));
            }

            /// Writes to memory what the threads that have ended made of these words.
            pub(super) fn write_back(words: HashMap<usize, Rc<modelled::$name>>) {
                for (address, made) in words {
                    // SAFETY: as above; all threads have ended but the one that calls.
                    unsafe { &*(address as *const plain::$name) }.store(unsafe { made.unsync_load() }, Ordering::Relaxed);
                }
            }

            fn put_back(address: usize, value: u64) {
                // SAFETY: as above.
                let word = unsafe { &*(address as *const plain::$name) };
                word.store(<$value as FromBits>::from_bits(value), Ordering::Relaxed);
            }

            atomic!(load() -> $value);
            atomic!(swap(value: $value) -> $value);
            atomic!(store(value: $value) -> ());

            /// As in `core`.
            pub fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                match self.modelled(success) {
                    Some(word) => {
                        note_access(self.address(), false);
                        word.compare_exchange(old, new, success, failure)
                    }
                    None => self.0.compare_exchange(old, new, success, failure),
                }
            }

            /// As in `core`, but that it fails only where the value is another one.
            pub fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(old, new, success, failure)
            }
        }
    };
    ($call:ident($($argument:ident: $type:ty)?) -> $result:ty) => {
        /// As in `core`.
        pub fn $call(&self, $($argument: $type,)? order: Ordering) -> $result {
            match self.modelled(order) {
                Some(word) => {
                    note_access(self.address(), stringify!($call) == "load");
                    word.$call($($argument,)? order)
                }
                None => self.0.$call($($argument,)? order),
            }
        }
    };
}

/// What numbers have beyond that.
macro_rules! number {
    ($name:ident, $value:ty) => {
        impl $name {
            atomic!(fetch_add(value: $value) -> $value);
            atomic!(fetch_sub(value: $value) -> $value);
            atomic!(fetch_and(value: $value) -> $value);
            atomic!(fetch_or(value: $value) -> $value);
            atomic!(fetch_xor(value: $value) -> $value);
            atomic!(fetch_max(value: $value) -> $value);

            /// As in `core`.
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                change: impl Fn($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut old = self.load(fetch);
                while let Some(new) = change(old) {
                    match self.compare_exchange_weak(old, new, set, fetch) {
                        Ok(_) => return Ok(old),
                        Err(now) => old = now,
                    }
                }
                Err(old)
            }
        }

        impl FromBits for $value {
            fn from_bits(bits: u64) -> $value {
                bits as $value
            }
        }
    };
}

trait FromBits {
    fn from_bits(bits: u64) -> Self;
}

impl FromBits for bool {
    fn from_bits(bits: u64) -> bool {
        bits != 0
    }
}

atomic!(AtomicBool, bool, bools);
atomic!(AtomicU32, u32, u32s);
atomic!(AtomicU64, u64, u64s);
atomic!(AtomicUsize, usize, usizes);
atomic!(AtomicIsize, isize, isizes);
number!(AtomicU32, u32);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);
number!(AtomicIsize, isize);

impl AtomicU32 {
    /// As in `core`.
    pub const fn as_ptr(&self) -> *mut u32 {
        self.0.as_ptr()
    }
}

/// The pointer of `core` by this name, modelled as a number.
#[repr(transparent)]
pub struct AtomicPtr<T>(plain::AtomicPtr<T>);

impl<T> Default for AtomicPtr<T> {
    fn default() -> AtomicPtr<T> {
        AtomicPtr::new(ptr::null_mut())
    }
}

impl<T> AtomicPtr<T> {
    /// A pointer with this value.
    pub const fn new(value: *mut T) -> AtomicPtr<T> {
        AtomicPtr(plain::AtomicPtr::new(value))
    }

    fn number(&self) -> &AtomicUsize {
        // SAFETY: both are transparent, over words of the same size and alignment.
        unsafe { &*ptr::from_ref(self).cast::<AtomicUsize>() }
    }

    /// As in `core`.
    pub fn load(&self, order: Ordering) -> *mut T {
        self.number().load(order) as *mut T
    }

    /// As in `core`.
    pub fn store(&self, value: *mut T, order: Ordering) {
        self.number().store(value as usize, order);
    }

    /// As in `core`.
    pub fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.number().swap(value as usize, order) as *mut T
    }

    /// As in `core`.
    pub fn compare_exchange(
        &self,
        old: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let result = self.number().compare_exchange(old as usize, new as usize, success, failure);
        result.map(|value| value as *mut T).map_err(|value| value as *mut T)
    }

    /// As in `core`.
    pub fn compare_exchange_weak(
        &self,
        old: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.compare_exchange(old, new, success, failure)
    }
}

/// As in `core`.
pub fn fence(order: Ordering) {
    if mode() == Mode::Exploring {
        modelled::fence(order);
    }
}

/// Nothing: the threads of a model are not interrupted by signals.
pub fn compiler_fence(_: Ordering) {}

fn cell_at(address: usize) -> Option<Rc<loom::cell::UnsafeCell<()>>> {
    let is_gone = world(|world| world.unmapped.iter().any(|range| range.contains(&address)));
    assert!(!is_gone, "{address:#x} is touched, which was unmapped");
    if mode() != Mode::Exploring {
        return None;
    }
    if let Some(made) = world(|world| world.cells.get(&address).cloned()) {
        return Some(made);
    }
    let made = Rc::new(loom::cell::UnsafeCell::new(()));
    world(|world| world.cells.insert(address, made.clone()));
    Some(made)
}

/// Notes a read of plain memory.
pub fn note_read(address: usize) {
    if let Some(cell) = cell_at(address) {
        cell.with(|_| ());
    }
}

/// Notes a write of plain memory.
pub fn note_write(address: usize) {
    if let Some(cell) = cell_at(address) {
        cell.with_mut(|_| ());
    }
}

/// The cell of `core` by this name, which notices threads that touch it at the same time.
#[repr(transparent)]
#[derive(Default)]
pub struct Cell<T>(PlainCell<T>);

impl<T> Cell<T> {
    /// A cell with this value.
    pub const fn new(value: T) -> Cell<T> {
        Cell(PlainCell::new(value))
    }

    /// As in `core`.
    pub fn set(&self, value: T) {
        note_write(ptr::from_ref(self) as usize);
        self.0.set(value);
    }

    /// As in `core`.
    pub fn replace(&self, value: T) -> T {
        note_write(ptr::from_ref(self) as usize);
        self.0.replace(value)
    }
}

impl<T: Copy> Cell<T> {
    /// As in `core`.
    pub fn get(&self) -> T {
        note_read(ptr::from_ref(self) as usize);
        self.0.get()
    }
}
