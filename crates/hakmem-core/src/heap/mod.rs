//! Thread heaps: the fast paths of `malloc` and `free`, and the slow paths behind them.
//!
//! The way down is `alloc` → `refill` → `backend::slabs`, and `free` → `remote` for blocks of another heap, `flush` → `spans` for a bin
//! that is full. `layout` says what a heap is made of, and who may touch which part of it.

mod notice;
mod layout;
mod entry;
mod this_thread;
mod work;
mod registry;
mod counters;
mod cache_budget;
mod bins;
mod access;
mod lookup;
mod medium_cache;
mod misuse;
mod spans;
mod holes;
mod remote;
mod flush;
mod aging;
mod refill;
mod fork;
mod ownership;
mod trim;
mod pressure;
mod free;
mod alloc;
mod realloc;
mod defragmentation;

pub use alloc::{
    allocate, allocate_aligned, allocate_for_new, allocate_inline, allocate_zeroed, allocate_zeroed_aligned,
    pop_for_new,
};
pub use defragmentation::worth_moving;
pub use fork::after_fork_in_child;
pub use free::{free, free_asked_for, free_sized};
pub use holes::open_holes;
pub use layout::{Big, Heap, Status};
pub use lookup::usable_size;
pub use misuse::{look_through_bins, name_misuse};
pub use ownership::start;
pub use pressure::answer_demand;
pub use realloc::{reallocate, reallocate_if_live, stays};
pub use trim::{collect, trim};

pub(crate) use cache_budget::bought_by_all;
pub(crate) use counters::{gone_bytes, stray_frees, stray_tally};
pub(crate) use entry::{anchor_in, class_in, is_small};
pub(crate) use registry::put_into_pool;
