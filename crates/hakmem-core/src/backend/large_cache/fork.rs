//! The large cache in a child process just forked: the phases of the descriptors say what threads of the parent were doing to them.

use super::extent::{CACHED_BYTES, LARGE_MAPPED_BYTES};
use super::mapping::{Phase, SPARE_MAPPINGS, all};
use super::slots::SLOTS;
use super::unmap::{REFUSED, cache_or_unmap};
use crate::map::page_map;
use core::ptr;
use hakmem_os::atomic::Ordering::Relaxed;

/// Fills the slots and stacks again, also with mappings that threads of the parent had taken out, and counts the sums again. Called in a
/// child process just forked.
pub fn after_fork_in_child() {
    SPARE_MAPPINGS.reset();
    REFUSED.reset();
    SLOTS.iter().for_each(|slot| slot.store(ptr::null_mut(), Relaxed));
    let bytes_in = |phases: &[Phase]| {
        let counted = all().filter(|mapping| phases.contains(&mapping.phase()));
        counted.map(|mapping| mapping.bytes.load(Relaxed)).sum()
    };
    LARGE_MAPPED_BYTES.store(bytes_in(&[Phase::Live, Phase::Cached, Phase::Refused, Phase::Changing]), Relaxed);
    CACHED_BYTES.store(bytes_in(&[Phase::Refused]), Relaxed);
    for mapping in all() {
        match mapping.phase() {
            Phase::Spare => SPARE_MAPPINGS.push(mapping),
            Phase::Refused => REFUSED.push(mapping),
            Phase::Cached => {
                page_map::set(mapping.base.load(Relaxed), 1, page_map::FREED);
                cache_or_unmap(mapping);
            }
            Phase::Live | Phase::Changing => {}
        }
    }
}
