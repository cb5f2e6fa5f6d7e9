//! Segments: the word that says which slabs are free, and the hints in `availability`.
//!
//! # Safety
//! A slab is touched by the thread that claimed it.

use hakmem_core::backend::availability;
use hakmem_core::backend::purge::Purge;
use hakmem_core::backend::segment::{self, Claim, Segment};
use hakmem_core::base::accounting;
use hakmem_core::base::sizes::{SLAB, SLABS};
use hakmem_core::map::metadata;
use hakmem_os::atomic::note_write;
use hakmem_os::model::{explore, spawn};

/// This many segments make a process large enough to prefault slabs, four at once.
const LARGE: isize = 32;

/// Maps a segment whose last `free` slabs are free, and dirty if `used` says so.
fn segment_with(free: usize, used: bool) -> &'static Segment {
    let run = segment::map(SLABS - free).expect("memory");
    if used {
        run.segment.claim(free).expect("room").release();
    }
    run.segment
}

/// Writes to every slab of a run, as its owner may, and finds the segment by address.
fn use_slabs(run: Claim) {
    for slab in 0..run.slabs {
        note_write(run.base() + slab * SLAB);
    }
    let found = segment::containing(run.base()).expect("the page map knows the segment");
    assert!(core::ptr::eq(found, run.segment));
}

/// Does the same with contents, and checks that slabs are zero where the run says so.
fn fill_slabs(run: Claim) {
    use_slabs(run);
    for slab in 0..run.slabs {
        // SAFETY: this thread has claimed the slab, which is mapped.
        let old = unsafe { ((run.base() + slab * SLAB) as *mut usize).replace(1) };
        assert!(old == 0 || !run.zero, "slab {} is not zero", run.first + slab);
    }
}

/// Returns the length of the longest run of free slabs, rounded down to a power of two; 0 if none is free.
fn longest(free: u32) -> u32 {
    let runs = |length: u32| (0..SLABS as u32).any(|at| (free >> at).trailing_ones() >= length);
    [16, 8, 4, 2, 1].into_iter().find(|length| runs(*length)).unwrap_or(0)
}

/// Checks, while no other thread runs, that the hints and sums agree with the segments.
fn check_sums(segments: &[&'static Segment]) {
    let (mut dirty, mut used) = (0, metadata::mapped());
    for (at, segment) in segments.iter().enumerate() {
        let state = segment.state();
        let number = (1..=segment::last_number()).find(|n| core::ptr::eq(segment::number(*n).expect("made"), *segment));
        let hinted =
            |level| availability::candidates([level, level], segment::last_number()).any(|n| Some(n) == number);
        for level in 0..availability::DIRTY {
            assert_eq!(hinted(level), longest(state.free) >= 1 << level, "segment {at}, level {level}, {state:?}");
        }
        assert_eq!(hinted(availability::DIRTY), state.dirty != 0, "segment {at}, {state:?}");
        dirty += state.dirty.count_ones() as usize;
        used += (state.free & !state.dirty).count_zeros() as usize * SLAB;
    }
    assert_eq!(availability::dirty(), dirty);
    assert_eq!(availability::mapped(), segments.len());
    assert_eq!(accounting::used(), used, "bytes in use");
}

/// Catches: `Relaxed` instead of `SeqCst` where slabs are released; a claim that leaves its slabs marked dirty.
#[test]
fn no_slab_has_two_owners() {
    explore("segment, two claim and release", 3, || {
        let segment = segment_with(2, false);
        let work = move |slabs| {
            if let Some(run) = segment.claim(slabs) {
                use_slabs(run);
                run.release();
            }
        };
        let other = spawn(move || work(1));
        work(2);
        other.join();
        check_sums(&[segment]);
        assert_eq!(segment.state().free.count_ones(), 2);
    });
}

/// Catches: `Acquire` and `AcqRel` instead of `SeqCst` in a claim, a release, `summary` or `publish`; a `publish` that
/// does not read the state again after it wrote.
#[test]
fn hints_agree_where_a_change_is_undone_before_it_is_published() {
    explore("segment, one claims and one releases", 4, || {
        let segment = segment_with(2, true);
        let run = segment.claim(1).expect("room");
        let other = spawn(move || run.release());
        segment.claim(1).into_iter().for_each(use_slabs);
        other.join();
        check_sums(&[segment]);
    });
}

/// Catches: slabs that are released before their pages are purged.
#[test]
fn slabs_have_no_other_owner_while_they_are_purged() {
    explore("segment, one purges and one claims", 3, || {
        let segment = segment_with(2, true);
        let other = spawn(move || {
            if let Some(run) = segment.claim(1) {
                use_slabs(run);
                run.release();
            }
        });
        segment.purge(Purge::All);
        other.join();
        check_sums(&[segment]);
        assert_eq!(segment.state().free.count_ones(), 2);
    });
}

/// Catches: a state stored `Relaxed` for a descriptor that is reused; a segment that is unmapped although it is not
/// free as a whole.
#[test]
fn an_outdated_hint_leads_to_a_mapped_segment() {
    explore("segment, one unmaps and maps and one has an outdated hint", 3, || {
        let segment = segment_with(SLABS, true);
        let other = spawn(move || {
            let run = segment.claim(1);
            run.into_iter().for_each(use_slabs);
            run
        });
        segment.purge(Purge::All);
        let run = segment::map(1).expect("memory");
        use_slabs(run);
        let theirs = other.join();
        theirs.into_iter().for_each(use_slabs);
        let segments: Vec<_> = segment::all().collect();
        check_sums(&segments);
    });
}

/// Catches: a number that is read and incremented in two steps.
#[test]
fn each_descriptor_has_a_number_of_its_own() {
    explore("segment, two are mapped", 1, || {
        let other = spawn(|| segment::map(1).expect("memory").segment);
        let mine = segment::map(1).expect("memory").segment;
        let made = [mine, other.join()];
        assert!(made.iter().all(|made| segment::all().any(|segment| core::ptr::eq(segment, *made))));
        assert_eq!(segment::all().count(), 2);
        check_sums(&made);
    });
}

/// Makes the process large enough to prefault slabs, or small again.
fn be_large(segments: isize) {
    for _ in 0..segments.unsigned_abs() {
        if segments > 0 { availability::note_mapped() } else { availability::note_unmapped() }
    }
}

/// Catches: prefaulted slabs that are marked as zero only after they were released.
#[test]
fn prefaulted_slabs_are_zero_until_they_are_used() {
    explore("segment, one prefaults slabs and one claims and releases them", 2, || {
        be_large(LARGE);
        let segment = segment_with(4, false);
        let run = segment.claim(1).expect("room");
        let other = spawn(move || {
            if let Some(run) = segment.claim(1) {
                fill_slabs(run);
                run.release();
            }
        });
        run.prefault();
        fill_slabs(run);
        segment.claim(1).into_iter().for_each(fill_slabs);
        other.join();
        be_large(-LARGE);
        check_sums(&[segment]);
        core::iter::from_fn(|| segment.claim(1)).for_each(fill_slabs);
    });
}

/// Catches: slabs that are claimed although they are not free.
#[test]
fn a_block_that_grows_in_place_takes_free_slabs_only() {
    explore("segment, one claims what lies behind its slabs, and one claims any", 4, || {
        let segment = segment_with(3, true);
        let run = segment.claim(1).expect("room");
        let other = spawn(move || {
            let run = segment.claim(2);
            run.into_iter().for_each(use_slabs);
            run
        });
        let grown = segment.claim_at(run.first + 1, 1);
        grown.into_iter().for_each(use_slabs);
        let theirs = other.join();
        assert!(grown.is_some() != theirs.is_some());
        theirs.into_iter().chain(grown).for_each(use_slabs);
        check_sums(&[segment]);
    });
}
