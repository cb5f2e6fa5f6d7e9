//! Thread heaps: the fast paths of `malloc` and `free`, and the slow paths behind them.
//!
//! An allocation goes down through `alloc` → `refill` → `backend::slabs`. A free goes through `free` → `remote` for a
//! block of another heap, and through `flush` → `spans` for a full bin. `layout` says what a heap consists of, and
//! which thread may touch which part.

mod notice;
mod layout;
mod entry;
mod this_thread;
mod slow_path_mark;
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
mod slow_path_end;
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
pub use free::{free, free_sized, free_with_size};
pub use holes::open_holes;
pub use layout::{Big, Heap, Status};
pub use lookup::usable_size;
pub use misuse::{check_bins_at_exit, report_misuse};
pub use ownership::start;
pub use realloc::{reallocate, reallocate_if_live, stays};
pub use slow_path_end::answer_demand;
pub use trim::{collect, trim};

pub(crate) use cache_budget::bought_by_all;
pub(crate) use counters::{hole_bytes, stray_frees, stray_tally};
pub(crate) use entry::{anchor_in, class_in, is_small};
pub(crate) use registry::pool_owned;
