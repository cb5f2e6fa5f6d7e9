//! The HAKMEM allocator: no_std, allocates nothing, never panics.
//!
//! The modules, bottom up; each uses only those above it in this list:
//!
//! 1. `policy` - every tunable number, as data
//! 2. `sizes` - size classes and span sizes, proved at compile time
//! 3. `sync` - counters with one writer, a lock-free stack
//! 4. `footprint` - bytes mapped and used, and the limits of the latter
//! 5. `guard` - names misuse
//! 6. `foreign` - blocks of libc's own allocator
//! 7. `meta` - memory for descriptors
//! 8. `bell` - wakes the scavenger
//! 9. `turn` - one thread at a time gives memory back
//! 10. `span` - blocks of one class in a row
//! 11. `pagemap` - what every 64 KiB of address space is
//! 12. `room` - hints where free slabs are
//! 13. `pages` - huge pages, and pages brought in before they are touched
//! 14. `price` - what huge pages cost at present
//! 15. `segment` - 2 MiB in 32 slabs, and the one word that says which are free
//! 16. `space` - finding slabs, and giving free memory back
//! 17. `medium` - blocks of whole slabs
//! 18. `kept` - mappings of large blocks, live and kept for the next
//! 19. `large` - blocks that are mappings of their own
//! 20. `limits` - what happens at a limit of ours or the system's
//! 21. `decay` - when free memory goes back by itself
//! 22. `heap` - thread heaps: the fast paths and their cold twins
//! 23. `scavenger` - the thread that gives memory back while the program idles
//! 24. `stats` - counters folded into a report
//! 25. `process` - settings from the environment, start and end
#![no_std]

#[cfg(test)]
extern crate std;

pub mod bell;
pub mod decay;
pub mod footprint;
pub mod foreign;
pub mod guard;
pub mod heap;
pub mod kept;
pub mod large;
pub mod limits;
pub mod medium;
pub mod meta;
pub mod pagemap;
pub mod pages;
pub mod policy;
pub mod price;
pub mod process;
pub mod room;
pub mod scavenger;
pub mod segment;
pub mod sizes;
pub mod space;
pub mod span;
pub mod stats;
pub mod sync;
pub mod turn;
