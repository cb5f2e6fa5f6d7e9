//! fragmentation: phases, each with blocks of other sizes, of which one in twenty, at random, stays for good.
//!
//! Memory that one phase leaves between its survivors is of use in the next only if it can change its purpose.
//!
//! Parameters: `steps` (rounds through all phases), `volume` (bytes allocated in each phase), `seed`. The sizes are
//! the phases' own.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "fragmentation",
    "a long-running program whose work changes",
    &[Row::quick("64 MiB x6 phases", "steps=2 volume=67108864 seed=1")],
    run::<Malloc>,
)
.over_time()
.then_idle(1)
.with_ceiling(run::<Ceiling>);

/// The sizes of each phase, in bytes.
const PHASES: [(usize, usize); 6] = [(16, 64), (200, 400), (48, 112), (1000, 3000), (130, 190), (8_000, 40_000)];

/// One block in so many stays.
const SURVIVES: usize = 20;

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let (rounds, volume) = (parameters.get("steps"), parameters.size("volume"));
    let count = |(low, high): (usize, usize)| volume / usize::midpoint(low, high);
    let most = PHASES.into_iter().map(count).max().expect("there are phases");
    let all = PHASES.into_iter().map(count).sum::<usize>() * rounds as usize;
    let mut slots = Slots::<S>::new(most);
    // Twice the expected number: chance does not reach that far.
    let mut survivors = Slots::<S>::new(all / SURVIVES * 2 + 100);
    let mut places = survivors.iter_mut();
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for (low, high) in (0..rounds).flat_map(|_| PHASES) {
        let live = count((low, high));
        for slot in &mut slots[..live] {
            *slot = Some(Block::allocate(random.between(low, high)));
        }
        for slot in &mut slots[..live] {
            let Some(block) = slot.take() else { continue };
            if random.below(SURVIVES) == 0
                && let Some(place) = places.next()
            {
                *place = Some(block);
            } else {
                block.release();
            }
        }
    }
    meter.stop(all as u64);

    survivors.release_all();
}
