//! Latencies: an HDR histogram of nanoseconds.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies with three significant digits, from a nanosecond up. Merging two is the same as recording into one.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        Self(Histogram::new(DIGITS).expect("three digits are allowed"))
    }

    /// Takes one.
    pub fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).clamp(1, MOST);
        // It grows as far as it has to, and `MOST` is within what it can grow to.
        self.0.record(nanoseconds).expect("the value is in range");
    }

    /// Takes those of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both are of one kind, and grow");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that the part `quantile` of all stay within; none where there are none.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        // A bucket's upper end may lie beyond the largest value in it.
        self.some(self.0.value_at_quantile(quantile).min(self.0.max()))
    }

    /// The largest.
    pub fn max(&self) -> Option<Duration> {
        self.some(self.0.max())
    }

    /// The smallest.
    pub fn min(&self) -> Option<Duration> {
        self.some(self.0.min())
    }

    /// The mean.
    pub fn mean(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_secs_f64(self.0.mean() / 1e9))
    }

    /// How many are as long as `limit` or longer, to the width of a bucket.
    pub fn at_least(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.0
            .iter_recorded()
            .filter(|step| step.value_iterated_to() >= limit)
            .map(|step| step.count_since_last_iteration())
            .sum()
    }

    /// The curve of quantiles, finer towards 1: a few points for each halving of what is left.
    pub fn curve(&self) -> Vec<(f64, Duration)> {
        let points = self.0.iter_quantiles(4).map(|step| {
            let value = step.value_iterated_to().min(self.0.max());
            (step.quantile_iterated_to(), Duration::from_nanos(value))
        });
        points.collect()
    }

    fn some(&self, nanoseconds: u64) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(nanoseconds))
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

const DIGITS: u8 = 3;

/// An hour: longer than anything is waited for.
const MOST: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn of(values: &[u64]) -> Latencies {
        let mut latencies = Latencies::new();
        for value in values {
            latencies.record(Duration::from_nanos(*value));
        }
        latencies
    }

    proptest! {
        /// Shards can be merged in any grouping without a difference to one histogram of everything.
        #[test]
        fn merging_is_recording(parts in vec(vec(1_u64..10_000_000_000, 0..50), 0..8), turn in 0_usize..8) {
            let whole = of(&parts.concat());
            let mut merged = Latencies::new();
            let turn = turn % parts.len().max(1);
            for part in parts[turn..].iter().chain(&parts[..turn]) {
                merged.merge(&of(part));
            }
            prop_assert_eq!(merged.count(), whole.count());
            prop_assert_eq!((merged.min(), merged.max(), merged.mean()), (whole.min(), whole.max(), whole.mean()));
            for quantile in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
                prop_assert_eq!(merged.quantile(quantile), whole.quantile(quantile));
            }
            prop_assert_eq!(merged.curve(), whole.curve());
        }

        /// A quantile is that of the sorted values, to a thousandth.
        #[test]
        fn quantiles_are_those_of_the_sorted_values(values in vec(1_u64..10_000_000_000, 1..200), percent in 1_u32..=100) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let rank = (values.len() * percent as usize).div_ceil(100).max(1);
            let told = of(&values).quantile(f64::from(percent) / 100.0).unwrap().as_secs_f64();
            // A rank that is whole but for its rounding may count as the next one.
            let near = sorted[rank - 1..values.len().min(rank + 1)].iter().any(|exact| {
                let exact = Duration::from_nanos(*exact).as_secs_f64();
                (told - exact).abs() <= exact * 0.001 + 1e-9
            });
            prop_assert!(near, "{told} at rank {rank}");
        }

        #[test]
        fn those_over_a_limit_are_counted(values in vec(1_u64..1_000_000, 0..200)) {
            // Far from any value, so that no bucket straddles it.
            let shifted: Vec<u64> = values.iter().map(|value| if value % 2 == 0 { value + 10_000_000 } else { *value }).collect();
            let slow = values.iter().filter(|value| *value % 2 == 0).count() as u64;
            prop_assert_eq!(of(&shifted).at_least(Duration::from_millis(5)), slow);
        }
    }

    #[test]
    fn nothing_has_no_figures_and_extremes_are_taken() {
        let none = Latencies::new();
        assert_eq!((none.quantile(0.5), none.max(), none.mean()), (None, None, None));
        let odd = of(&[0, u64::MAX]);
        assert_eq!(odd.count(), 2);
        assert_eq!(odd.min(), Some(Duration::from_nanos(1)));
        assert!(odd.max().unwrap() >= Duration::from_secs(3_590));
    }
}
