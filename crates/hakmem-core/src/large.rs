//! Large blocks: whole mappings, kept for a while after they are freed, grown and shrunk by the kernel without a copy.
//!
//! A freed mapping waits in one of 64 slots until a request of about its size comes, or until it has waited for two
//! purge passes. A slot changes hands by one atomic exchange of its pointer.
//!
//! # Safety
//! A descriptor belongs to whoever took it out of a slot or off the stack, or to the holder of the block.

use crate::bell;
use crate::footprint;
use crate::meta;
use crate::pagemap;
use crate::pages;
use crate::policy;
use crate::sizes::{REQUEST_MAX, SEGMENT, SLAB};
use crate::sync::{Linked, Stack};
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use hakmem_os::vm;

/// Descriptor of a large block or of a kept mapping.
#[repr(C, align(64))]
pub struct Large {
    base: AtomicUsize,
    bytes: AtomicUsize,
    /// Purge passes that found it kept.
    age: AtomicUsize,
    /// Whether the kernel was asked for huge pages here.
    huge: AtomicBool,
    link: AtomicPtr<Large>,
}

// SAFETY: `link` returns one field; made by `meta`, so never unmapped; aligned to 64.
unsafe impl Linked for Large {
    fn link(&self) -> &AtomicPtr<Large> {
        &self.link
    }
}

/// How many freed mappings are kept at most.
const SLOTS: usize = 64;

/// Descriptors without a mapping.
static SPARE: Stack<Large> = Stack::new();
/// Mappings that the kernel would not take back.
static STUCK: Stack<Large> = Stack::new();
/// Whether it refused the last one.
static REFUSED: AtomicBool = AtomicBool::new(false);
static KEPT: [AtomicPtr<Large>; SLOTS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; SLOTS];
static KEPT_BYTES: AtomicUsize = AtomicUsize::new(0);
static MAPPED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// What large blocks hold, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Mapped in all.
    pub mapped: usize,
    /// Of that, freed and kept, or refused by the kernel.
    pub kept: usize,
}

/// What large blocks hold.
pub fn extent() -> Extent {
    Extent { mapped: MAPPED_BYTES.load(Relaxed), kept: KEPT_BYTES.load(Relaxed) }
}

/// Bytes of the freed mappings that stand in slots, found by looking; exact at rest.
pub fn count_kept() -> usize {
    // SAFETY: null or a descriptor, which lives for ever.
    let large = KEPT.iter().filter_map(|slot| unsafe { slot.load(Acquire).as_ref() });
    large.map(|large| large.bytes.load(Relaxed)).sum()
}

/// Bytes of the mapping for a request; `None` where no address space could hold it.
fn mapping_size(size: usize) -> Option<usize> {
    (size <= REQUEST_MAX - SLAB).then(|| size.max(1).next_multiple_of(vm::PAGE))
}

/// Allocates `size` bytes aligned to `align`; the flag says whether they are zero. `sparse` is a block of which much may never
/// be touched. `None` when the system has no memory.
pub fn allocate(size: usize, align: usize, sparse: bool) -> Option<(usize, bool)> {
    let bytes = mapping_size(size)?;
    let align = align.max(SLAB);
    if let Some(kept) = take_kept(bytes, align) {
        return Some((claim(kept), false));
    }
    if !take(bytes) {
        return None;
    }
    let address = map(bytes, align, sparse);
    if address.is_none() {
        footprint::give(bytes);
    }
    Some((address?, true))
}

/// Takes `bytes`, if need be in place of kept mappings.
fn take(bytes: usize) -> bool {
    footprint::take(bytes) || release_kept(true) && footprint::take(bytes)
}

/// Maps a new block of `bytes`, which were taken.
fn map(bytes: usize, align: usize, sparse: bool) -> Option<usize> {
    // SAFETY: atomics: zero is valid.
    let large = SPARE.pop().or_else(|| unsafe { meta::make::<Large>() })?;
    let huge = !sparse && pages::huge_block(bytes, bytes);
    let align = if huge { align.max(SEGMENT) } else { align };
    let mut base = vm::map_aligned(bytes, align);
    if base == 0 && release_kept(true) {
        base = vm::map_aligned(bytes, align);
    }
    if base == 0 || !pagemap::cover(base, SLAB) {
        if base != 0 {
            // SAFETY: mapped just now, known to nobody.
            unsafe { vm::unmap(base, bytes) };
        }
        SPARE.push(large);
        return None;
    }
    MAPPED_BYTES.fetch_add(bytes, Relaxed);
    footprint::grow(bytes);
    large.base.store(base, Relaxed);
    large.bytes.store(bytes, Relaxed);
    // SAFETY: mapped just now, known to nobody.
    large.huge.store(unsafe { pages::advise(base, bytes, huge) }, Relaxed);
    Some(claim(large))
}

/// Makes a descriptor a live block.
fn claim(large: &'static Large) -> usize {
    let base = large.base.load(Relaxed);
    pagemap::set(base, 1, core::ptr::from_ref(large) as usize + pagemap::LARGE);
    base
}

/// The descriptor that a page map entry names.
fn described(entry: usize) -> &'static Large {
    // SAFETY: the caller read an entry with the LARGE tag; descriptors live for ever.
    unsafe { &*((entry - pagemap::LARGE) as *const Large) }
}

/// Whether a page map entry says that a large block begins there.
pub fn is_large(entry: usize) -> bool {
    entry & 63 == pagemap::LARGE && (entry as isize) > 0
}

/// Usable bytes of the block behind `entry`, if it begins at `address`.
pub fn usable_size(entry: usize, address: usize) -> Option<usize> {
    let large = described(entry);
    (large.base.load(Relaxed) == address).then(|| large.bytes.load(Relaxed))
}

/// Frees the block behind `entry` at `address`; its size, or `None` if no block begins there.
pub fn free(entry: usize, address: usize) -> Option<usize> {
    let bytes = usable_size(entry, address)?;
    pagemap::set(address, 1, pagemap::FREED);
    keep(described(entry));
    Some(bytes)
}

fn keep(large: &'static Large) {
    let bytes = large.bytes.load(Relaxed);
    let policy = policy::current();
    large.age.store(0, Relaxed);
    let wanted = policy.decay_ms != 0 && KEPT_BYTES.load(Relaxed) + bytes <= policy.retain_bytes;
    if !(wanted && put_in_slot(large)) {
        unmap_or_wait(large);
    }
}

/// Puts a mapping where requests find it; false if every slot is taken.
fn put_in_slot(large: &'static Large) -> bool {
    let new = core::ptr::from_ref(large).cast_mut();
    KEPT_BYTES.fetch_add(large.bytes.load(Relaxed), Relaxed);
    bell::ring();
    for slot in KEPT.iter().filter(|slot| slot.load(Relaxed).is_null()) {
        if slot.compare_exchange(core::ptr::null_mut(), new, AcqRel, Relaxed).is_ok() {
            return true;
        }
    }
    KEPT_BYTES.fetch_sub(large.bytes.load(Relaxed), Relaxed);
    false
}

/// Unmaps. Where the kernel refuses (too many mappings, say) the mapping serves again, or waits for the next pass.
fn unmap_or_wait(large: &'static Large) -> bool {
    let (base, bytes) = (large.base.load(Relaxed), large.bytes.load(Relaxed));
    pagemap::set(base, 1, 0);
    // SAFETY: the mapping belongs to this descriptor, which this thread took for itself.
    if !unsafe { vm::unmap(base, bytes) } {
        pagemap::set(base, 1, pagemap::FREED);
        REFUSED.store(true, Relaxed);
        if !put_in_slot(large) {
            KEPT_BYTES.fetch_add(bytes, Relaxed);
            STUCK.push(large);
        }
        return false;
    }
    REFUSED.store(false, Relaxed);
    MAPPED_BYTES.fetch_sub(bytes, Relaxed);
    footprint::shrink(bytes);
    footprint::give(bytes);
    SPARE.push(large);
    true
}

/// A kept mapping of at least `bytes` and at most a quarter more, or any larger one while the kernel takes none back.
fn take_kept(bytes: usize, align: usize) -> Option<&'static Large> {
    let fits = |large: &Large| {
        let have = large.bytes.load(Relaxed);
        let close = have <= bytes.saturating_add(bytes / 4) || REFUSED.load(Relaxed);
        (have >= bytes && close && large.base.load(Relaxed) & (align - 1) == 0).then_some(have)
    };
    if KEPT_BYTES.load(Relaxed) == 0 {
        return None;
    }
    let mut best: Option<(usize, &AtomicPtr<Large>, &Large)> = None;
    for slot in &KEPT {
        // SAFETY: null or a descriptor, which lives for ever; what is read of it is checked again once it is ours.
        if let Some(large) = unsafe { slot.load(Acquire).as_ref() }
            && let Some(have) = fits(large)
            && best.is_none_or(|(least, ..)| have < least)
        {
            best = Some((have, slot, large));
        }
    }
    let (_, slot, large) = best?;
    let expected = core::ptr::from_ref(large).cast_mut();
    slot.compare_exchange(expected, core::ptr::null_mut(), AcqRel, Relaxed).ok()?;
    // SAFETY: a descriptor, ours since the exchange.
    let large: &'static Large = unsafe { &*expected };
    KEPT_BYTES.fetch_sub(large.bytes.load(Relaxed), Relaxed);
    if fits(large).is_none() {
        keep(large);
        return None;
    }
    Some(large)
}

/// Unmaps kept mappings: all, or those that an earlier pass found kept already. Returns whether there were any.
pub fn release_kept(everything: bool) -> bool {
    let mut any = false;
    while let Some(large) = STUCK.pop() {
        KEPT_BYTES.fetch_sub(large.bytes.load(Relaxed), Relaxed);
        if !unmap_or_wait(large) {
            break;
        }
        any = true;
    }
    for slot in &KEPT {
        // SAFETY: null or a descriptor.
        let Some(large) = (unsafe { slot.load(Acquire).as_ref() }) else { continue };
        if !everything && large.age.fetch_add(1, Relaxed) == 0 {
            continue;
        }
        let expected = core::ptr::from_ref(large).cast_mut();
        if slot.compare_exchange(expected, core::ptr::null_mut(), AcqRel, Relaxed).is_ok() {
            // SAFETY: a descriptor, ours since the exchange.
            let large: &'static Large = unsafe { &*expected };
            KEPT_BYTES.fetch_sub(large.bytes.load(Relaxed), Relaxed);
            any |= unmap_or_wait(large);
        }
    }
    any
}

/// Resizes the block behind `entry` without copying: in place where the kernel can, else by moving its pages. Returns where
/// it is now; `None` leaves it as it was.
pub fn resize(entry: usize, address: usize, size: usize) -> Option<usize> {
    let large = described(entry);
    let old = usable_size(entry, address)?;
    let exact = mapping_size(size)?;
    if exact <= old {
        // A little slack is cheaper than a kernel call.
        if old - exact < usize::max(old / 8, SLAB) {
            return Some(address);
        }
        // SAFETY: the block is the caller's, who gives up what lies beyond `exact`.
        return unsafe { vm::resize(address, old, exact) }.then(|| {
            note_resized(large, old, exact);
            address
        });
    }
    // What grows once grows again: an eighth more address space, which costs no memory until it is touched.
    let generous = exact.max(old.saturating_add(old / 8)).next_multiple_of(SLAB);
    for new in [generous, exact] {
        if !take(new - old) {
            continue;
        }
        // SAFETY: the block is the caller's.
        let now = if unsafe { vm::resize(address, old, new) } {
            note_resized(large, old, new);
            Some(address)
        } else {
            relocate(large, old, new)
        };
        if let Some(now) = now {
            // What grows was filled.
            if !large.huge.load(Relaxed) && pages::huge_block(new, 0) {
                // SAFETY: the block is the caller's.
                large.huge.store(unsafe { pages::advise(now, new, true) }, Relaxed);
            }
            return Some(now);
        }
        footprint::give(new - old);
    }
    None
}

fn relocate(large: &'static Large, old: usize, new: usize) -> Option<usize> {
    let base = large.base.load(Relaxed);
    let to = vm::map_aligned(new, if pages::huge_block(new, new - old) { SEGMENT } else { SLAB });
    if to == 0 {
        return None;
    }
    // Once the pages have moved, another thread may map something at the old place, so its entry goes first.
    pagemap::set(base, 1, 0);
    // SAFETY: the block is the caller's, who gets its new address; the target was mapped just now.
    if !pagemap::cover(to, SLAB) || !unsafe { vm::move_onto(base, old, new, to) } {
        // The target stays mapped, untouched: the kernel may have unmapped it already, and another thread be using the place.
        claim(large);
        return None;
    }
    large.base.store(to, Relaxed);
    note_resized(large, old, new);
    Some(claim(large))
}

fn note_resized(large: &Large, old: usize, new: usize) {
    large.bytes.store(new, Relaxed);
    if new > old {
        MAPPED_BYTES.fetch_add(new - old, Relaxed);
        footprint::grow(new - old);
    } else {
        MAPPED_BYTES.fetch_sub(old - new, Relaxed);
        footprint::shrink(old - new);
        footprint::give(old - new);
    }
}
