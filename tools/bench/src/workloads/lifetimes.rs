//! lifetimes: sizes and lifetimes as recordings of real programs show them: most blocks are small and die young.
//!
//! Nine blocks of ten live for some thirty allocations, most of the rest for some thousands, one in a hundred for
//! hundreds of thousands. Half of all blocks are of a few favourite sizes.
//!
//! Parameters: `steps`, `young`, `middle` and `old` (blocks of each kind that live at a time), `seed`.

use super::prelude::*;

/// The workload and its rows.
pub const WORKLOAD: Workload = Workload::new(
    "lifetimes",
    "an ordinary program, as recordings show it",
    &[Row::quick("32/4096/100000", "steps=8000000 young=32 middle=4096 old=100000 seed=1")],
    run::<Malloc>,
)
.over_time()
.with_ceiling(run::<Ceiling>);

/// Sizes that programs ask for most.
const FAVOURITES: [usize; 8] = [16, 24, 32, 32, 40, 48, 64, 96];

fn run<S: Source>(parameters: &Parameters, meter: &mut Meter) {
    let steps = parameters.get("steps");
    let [mut young, mut middle, mut old] =
        ["young", "middle", "old"].map(|kind| Slots::<S>::new(parameters.size(kind)));
    let mut random = Random::new(parameters.get("seed"));

    meter.start();
    for _ in 0..steps {
        let kind = match random.below(100) {
            0 => &mut old,
            1..10 => &mut middle,
            _ => &mut young,
        };
        let index = random.below(kind.len());
        kind.renew(index, size(&mut random));
    }
    meter.stop(steps);

    [young, middle, old].iter_mut().for_each(Slots::release_all);
}

/// A favourite, or a size of which small ones are likelier; one in a thousand is large.
fn size(random: &mut Random) -> usize {
    match random.below(1000) {
        0..500 => FAVOURITES[random.below(FAVOURITES.len())],
        500..999 => random.scaled_between(8, 4096),
        _ => random.scaled_between(4096, 262_144),
    }
}
