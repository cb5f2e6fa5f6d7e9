//! The state of a segment's 32 slabs, two bits each, and the search for runs of slabs in it.

use hakmem_os::atomic::{AtomicU32, Ordering::Relaxed};

/// The state of all slabs at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Free slabs, one bit each.
    pub free: u32,
    /// Free slabs that hold old contents: a subset of `free`.
    pub dirty: u32,
}

impl State {
    pub(super) fn unpack(word: u64) -> State {
        State { free: word as u32, dirty: (word >> 32) as u32 }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.free) | u64::from(self.dirty) << 32
    }
}

/// Every slab.
pub(super) const EVERY_SLAB: u32 = u32::MAX;

/// Clears the bits of slabs that the caller has claimed; returns the bits before. Most often there is nothing to clear.
pub(super) fn clear(bits: &AtomicU32, claimed: u32) -> u32 {
    let now = bits.load(Relaxed);
    if now & claimed != 0 { bits.fetch_and(!claimed, Relaxed) } else { now }
}

pub(super) fn mask(first: usize, slabs: usize) -> u32 {
    (((1_u64 << slabs) - 1) << first) as u32
}

/// Returns the highest set bits, at most `most` of them.
pub(super) fn highest(mut bits: u32, most: usize) -> u32 {
    while bits.count_ones() as usize > most {
        bits &= bits - 1;
    }
    bits
}

/// Returns the lowest position at which `slabs` set bits in a row start.
pub(super) fn find_run(bits: u32, slabs: usize) -> Option<usize> {
    let mut starts = bits;
    let mut have = 1;
    while have < slabs && starts != 0 {
        let step = usize::min(have, slabs - have);
        starts &= starts >> step;
        have += step;
    }
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}

/// Returns the length of the longest run of set bits, rounded down to a power of two and at most 16; 0 if no bit is
/// set.
pub(super) fn longest_run(bits: u32) -> u32 {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let sixteen = eight & eight >> 8;
    u32::from(bits != 0)
        + u32::from(two != 0)
        + 2 * u32::from(four != 0)
        + 4 * u32::from(eight != 0)
        + 8 * u32::from(sixteen != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_slabs_are_found() {
        for bits in [0, 1, 0b1011_0111, 0xF0F0_00FF, EVERY_SLAB, 0x8000_0001, 0x7FFF_FFFE] {
            for slabs in 1..=32 {
                let expected = (0..=32 - slabs).find(|first| bits & mask(*first, slabs) == mask(*first, slabs));
                assert_eq!(find_run(bits, slabs), expected, "{slabs} in {bits:b}");
            }
            let longest = [16, 8, 4, 2, 1].into_iter().find(|slabs| find_run(bits, *slabs).is_some()).unwrap_or(0);
            assert_eq!(longest_run(bits), longest as u32);
        }
    }
}
