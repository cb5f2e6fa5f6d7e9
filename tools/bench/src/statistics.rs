//! Medians, and intervals for medians of ratios, by resampling the rounds.

use crate::random::Random;
use std::{
    fmt::{self, Display, Formatter},
    iter,
};

/// How often the rounds are resampled for an interval.
const RESAMPLES: usize = 2000;

/// A difference below this is called none, however sure it is: the placement of the code alone makes as much.
const NEGLIGIBLE: f64 = 0.005;

/// The middle value; the mean of the two middle ones where their number is even.
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "a median needs a value");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// The geometric mean of positive values.
pub fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// A ratio, with the interval in which it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the ratios of all rounds.
    pub value: f64,
    /// The ends of the interval; one round says nothing about the next, and so has none.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// The median of `subject / reference`, round by round, so that what disturbs a whole round disturbs neither.
    pub fn of(subject: &[f64], reference: &[f64]) -> Self {
        let ratios: Vec<f64> = subject.iter().zip(reference).map(|(subject, reference)| subject / reference).collect();
        // A fixed seed: the same measurements give the same interval.
        let mut random = Random::new(1);
        let interval = (ratios.len() > 1).then(|| interval(|| median(&sample(&ratios, &mut random))));
        Self { value: median(&ratios), interval }
    }

    /// The ratio of the medians of measurements that were not made side by side.
    pub fn of_medians(subject: &[f64], reference: &[f64]) -> Self {
        let mut random = Random::new(1);
        let draw = || median(&sample(subject, &mut random)) / median(&sample(reference, &mut random));
        let interval = (subject.len() > 1 && reference.len() > 1).then(|| interval(draw));
        Self { value: median(subject) / median(reference), interval }
    }

    /// Whether the interval leaves open which of the two is faster, or the difference is too small to be one. Without
    /// an interval nothing is known, not even that.
    pub fn is_tie(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low <= 1.0 + NEGLIGIBLE && high >= 1.0 - NEGLIGIBLE)
    }

    /// The ratio as words: what is said of a lower one, of a tie, of a higher one, or that one round decides nothing.
    pub fn verdict(&self, [lower, tie, higher]: [&'static str; 3]) -> &'static str {
        match self {
            Self { interval: None, .. } => "undecided",
            ratio if ratio.is_tie() => tie,
            ratio if ratio.value < 1.0 => lower,
            _ => higher,
        }
    }
}

impl Display for Ratio {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        write!(out, "{:.2}", self.value)?;
        self.interval.map_or(Ok(()), |(low, high)| write!(out, " [{low:.2} {high:.2}]"))
    }
}

/// The middle 95 % of what `draw` gives.
fn interval(draw: impl FnMut() -> f64) -> (f64, f64) {
    let mut drawn: Vec<f64> = iter::repeat_with(draw).take(RESAMPLES).collect();
    drawn.sort_by(f64::total_cmp);
    (drawn[RESAMPLES / 40], drawn[RESAMPLES - 1 - RESAMPLES / 40])
}

/// As many of the values as there are, each drawn from all.
fn sample(values: &[f64], random: &mut Random) -> Vec<f64> {
    values.iter().map(|_| values[random.below(values.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean(&[4.0, 0.25]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_clear_difference_is_no_tie() {
        let ratio = Ratio::of(&[2.0, 2.1, 1.9, 2.0, 2.05], &[1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(ratio.value, 2.0);
        let (low, high) = ratio.interval.unwrap();
        assert!(!ratio.is_tie() && low >= 1.9 && high <= 2.1, "{ratio:?}");
        assert_eq!(ratio.verdict(["wins", "tie", "loses"]), "loses");
    }

    #[test]
    fn noise_around_one_is_a_tie() {
        assert!(Ratio::of(&[1.02, 0.97, 1.01, 0.99, 1.0], &[1.0; 5]).is_tie());
    }

    #[test]
    fn what_slows_a_whole_round_leaves_the_ratio_alone() {
        let ratio = Ratio::of(&[2.0, 6.0, 2.0], &[1.0, 3.0, 1.0]);
        assert_eq!(ratio.interval, Some((2.0, 2.0)));
    }

    #[test]
    fn medians_of_separate_measurements_are_compared() {
        let ratio = Ratio::of_medians(&[2.0, 2.2, 1.8], &[1.0, 1.1, 0.9, 1.0]);
        assert_eq!(ratio.value, 2.0);
        let (low, high) = ratio.interval.unwrap();
        assert!(low > 1.5 && high < 2.5 && !ratio.is_tie(), "{ratio:?}");
    }

    #[test]
    fn one_round_decides_nothing() {
        for ratio in [Ratio::of(&[2.0], &[1.0]), Ratio::of(&[1.0], &[1.0]), Ratio::of_medians(&[0.5], &[1.0, 1.1])] {
            assert_eq!((ratio.interval, ratio.is_tie()), (None, false));
            assert_eq!(ratio.verdict(["wins", "tie", "loses"]), "undecided");
        }
        assert_eq!(Ratio::of(&[2.0], &[1.0]).to_string(), "2.00");
        assert_eq!(Ratio::of(&[2.0, 2.0], &[1.0, 1.0]).to_string(), "2.00 [2.00 2.00]");
    }
}
