//! Figures as they stand in a report.

use std::time::Duration;

use serde::Serialize;

use crate::{Failures, Kind};

/// Failures of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// The kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many.
    pub count: u64,
}

/// One figure of both servers.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// Which scenario.
    pub scenario: &'static str,
    /// `p50`, `p90`, `p99`, `mean` (in ms), `rate` (operations a second) or `cpu` (of the server's process, µs for an
    /// operation; only where both processes were named).
    pub figure: &'static str,
    /// Of server A: the median of its slices.
    pub a: f64,
    /// Of server B.
    pub b: f64,
    /// B's over A's: the geometric mean over the pairs.
    pub ratio: f64,
    /// The lower end of the interval that holds 95 % of the bootstrap's ratios; none with too few pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Its upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Pairs of slices that had the figure.
    pub pairs: usize,
}

/// Failures as they stand in a report.
pub(crate) fn counted(failures: &Failures) -> Vec<Counted> {
    failures.kinds().into_iter().map(|(kind, count)| Counted { kind: kind.clone(), count }).collect()
}

/// In milliseconds, to the nanosecond.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}
