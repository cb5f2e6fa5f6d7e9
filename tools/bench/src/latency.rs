//! How long single calls take: recorded in a histogram, reported as the quantiles people ask for.

pub use hakmem_os::cpu::ticks;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest call that is told apart; longer ones count as this, in ticks.
const LONGEST: u64 = 1 << 40;

/// Quantiles of the time of single calls, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the calls took at most this.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p99_9: f64,
    /// 9,999 of 10,000.
    pub p99_99: f64,
    /// The longest call.
    pub max: f64,
    /// The whole distribution: pairs of the share of calls that took longer, falling, and the time.
    pub curve: Vec<(f64, f64)>,
}

/// Records calls. Its memory is there before the first one: recording allocates nothing.
pub struct Recorder {
    ticks: Histogram<u64>,
}

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Self {
        Self { ticks: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order") }
    }

    /// Makes one call and records how long it took, the reading of the clock included.
    #[inline(always)]
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let (before, result, after) = (ticks(), call(), ticks());
        self.ticks.saturating_record(after.wrapping_sub(before).max(1));
        result
    }

    /// Adds what another thread recorded.
    pub fn add(&mut self, other: &Self) {
        self.ticks.add(&other.ticks).expect("both have the same bounds");
    }

    /// The quantiles, given how long a tick of the counter is.
    pub fn finish(&self, ns_per_tick: f64) -> Latency {
        let at = |quantile: f64| self.ticks.value_at_quantile(quantile) as f64 * ns_per_tick;
        // Ten points to each power of ten of rarity, as far as there were calls.
        let rarest = (self.ticks.len().max(1) as f64).log10();
        let points = (0..).map(|step| f64::from(step) / 10.0).take_while(|exponent| *exponent <= rarest);
        let rarities = points.map(|exponent| 10_f64.powf(-exponent));
        Latency {
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: self.ticks.max() as f64 * ns_per_tick,
            curve: rarities.map(|rarity| (rarity, at(1.0 - rarity))).collect(),
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Recorder;

    #[test]
    fn quantiles_rise_and_end_with_the_longest_call() {
        let mut recorder = Recorder::new();
        for turns in 0..2000_u32 {
            recorder.time(|| (0..turns).fold(0_u32, |sum, turn| std::hint::black_box(sum ^ turn)));
        }
        let latency = recorder.finish(1.0);
        assert!(latency.p50 < latency.p99 && latency.p99 <= latency.p99_9 && latency.p99_9 <= latency.max);
        assert!(latency.curve.is_sorted_by(|one, next| one.0 > next.0 && one.1 <= next.1), "{:?}", latency.curve);
    }

    #[test]
    fn calls_of_two_threads_are_counted_together() {
        let (mut one, mut other) = (Recorder::new(), Recorder::new());
        one.time(|| ());
        other.time(|| std::thread::sleep(std::time::Duration::from_millis(2)));
        let before = one.finish(1.0).max;
        one.add(&other);
        assert!(one.finish(1.0).max > before);
    }
}
