//! A histogram without a lock that the dashboard can read as well as `/metrics`.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// The upper ends of the buckets, in seconds; one more bucket holds what is longer.
pub(crate) const BOUNDS: [f64; 19] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0,
];

/// Counts per bucket, the last for what is above all [`BOUNDS`].
pub(crate) type Counts = [u64; BOUNDS.len() + 1];

/// How long things took. Clones are handles of the same histogram.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Latency {
    pub(crate) fn observe(&self, time: Duration) {
        let bucket = BOUNDS.partition_point(|&bound| bound < time.as_secs_f64());
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        std::array::from_fn(|bucket| self.0.counts[bucket].load(Ordering::Relaxed))
    }
}

/// The time in seconds that the share `q` of what was counted did not exceed: exact to its bucket, and in proportion
/// inside it. What is above all bounds counts as the highest of them. None if nothing was counted.
pub(crate) fn quantile(counts: &Counts, q: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let mut rank = q * precise(total);
    for (bucket, &count) in counts.iter().enumerate() {
        let count = precise(count);
        if count > 0.0 && rank <= count {
            let low = if bucket == 0 { 0.0 } else { BOUNDS[bucket - 1] };
            let high = BOUNDS.get(bucket).copied().unwrap_or(low);
            return Some(low + (high - low) * (rank / count).max(0.0));
        }
        rank -= count;
    }
    BOUNDS.last().copied()
}

/// Counts of an hour are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.counts();
        let ends = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(counts).collect();
        let sum = precise(self.0.nanoseconds.load(Ordering::Relaxed)) / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_bucket_whose_end_it_does_not_exceed() {
        for (time, bucket) in [
            (Duration::ZERO, 0),
            (Duration::from_micros(10), 0),
            (Duration::from_micros(11), 1),
            (Duration::from_millis(1), 6),
            (Duration::from_secs(10), 18),
            (Duration::from_secs(11), 19),
        ] {
            let latency = Latency::default();
            latency.observe(time);
            assert_eq!(latency.counts().iter().position(|&count| count == 1), Some(bucket), "{time:?}");
        }
    }

    #[test]
    fn quantiles_lie_inside_their_bucket() {
        let latency = Latency::default();
        assert_eq!(quantile(&latency.counts(), 0.5), None);
        for _ in 0..98 {
            latency.observe(Duration::from_micros(150));
        }
        latency.observe(Duration::from_millis(30));
        latency.observe(Duration::from_mins(1));
        let counts = latency.counts();
        let at = |q| quantile(&counts, q).unwrap();
        assert!((1e-4..=2e-4).contains(&at(0.5)), "{}", at(0.5));
        assert!((0.02..=0.05).contains(&at(0.99)), "{}", at(0.99));
        assert!((at(1.0) - 10.0).abs() < f64::EPSILON, "beyond the last bound its end is all that is known");
        assert!(at(0.5) < at(0.95));
    }
}
