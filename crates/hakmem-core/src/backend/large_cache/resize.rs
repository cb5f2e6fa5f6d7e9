//! Resizes mappings by the kernel, without copying what they hold.
//!
//! # Safety
//! The caller of each method owns the mapping, and uses nothing of it that the new length cuts off.

use super::extent::{note_mapped, note_unmapped};
use super::mapping::{MIXED, Mapping, Phase, new_origin};
use super::unmap::charge;
use crate::base::accounting;
use crate::base::sizes::{SEGMENT, SLAB};
use crate::map::page_map;
use hakmem_os::atomic::Ordering::Relaxed;
use hakmem_os::vm;

impl Mapping {
    /// Cuts the mapping off at `bytes`; false where the kernel refuses. Only the owner calls this, and uses nothing behind `bytes`.
    pub fn shrink(&self, bytes: usize) -> bool {
        let old = self.bytes.load(Relaxed);
        // SAFETY: the caller owns the mapping and uses nothing behind `bytes`.
        let shrunk = unsafe { vm::resize(self.base.load(Relaxed), old, bytes) };
        if shrunk {
            self.bytes.store(bytes, Relaxed);
            note_unmapped(old - bytes);
        }
        shrunk
    }

    /// Makes the mapping `bytes` long: in place where the kernel can, else by moving its pages to a multiple of `align`. Returns false
    /// where the kernel refuses. When the mapping moves, its old page map entry is cleared, and the caller sets the new one. Only the
    /// owner calls this.
    pub fn grow(&self, bytes: usize, align: usize) -> bool {
        let (base, old) = (self.base.load(Relaxed), self.bytes.load(Relaxed));
        // A refusal after the move has been prepared would cost the target, so nothing is tried that is likely to be refused.
        if self.origin.load(Relaxed) == MIXED || !charge(bytes - old) {
            return false;
        }
        let before = self.phase();
        self.set_phase(Phase::Changing);
        // SAFETY: the caller owns the mapping.
        let grown = unsafe { vm::resize(base, old, bytes) } || self.relocate(bytes, align);
        if grown {
            self.bytes.store(bytes, Relaxed);
            note_mapped(bytes - old);
        } else {
            accounting::uncharge(bytes - old);
        }
        self.set_phase(before);
        grown
    }

    fn relocate(&self, bytes: usize, align: usize) -> bool {
        let base = self.base.load(Relaxed);
        let to = vm::map_aligned(bytes, align.max(if self.huge.load(Relaxed) { SEGMENT } else { SLAB }));
        if to == 0 {
            return false;
        }
        if !page_map::cover(to, SLAB) {
            // SAFETY: mapped just now, and no other thread knows of it.
            unsafe { vm::unmap(to, bytes) };
            return false;
        }
        // Once the pages have moved, another thread may map something at the old address, so its entry is cleared first.
        let entry = page_map::entry(base);
        page_map::set(base, 1, 0);
        // SAFETY: the caller owns the mapping; the target was mapped just now.
        if !unsafe { vm::move_onto(base, self.bytes.load(Relaxed), bytes, to) } {
            // The target stays mapped, untouched: the kernel may have unmapped it already, and another thread may have mapped
            // something there since.
            page_map::set(base, 1, entry);
            self.immovable.store(true, Relaxed);
            return false;
        }
        self.base.store(to, Relaxed);
        self.origin.store(new_origin(), Relaxed);
        true
    }
}
