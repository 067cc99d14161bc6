//! The last hour in buckets of a few seconds, and the last day in slots for the objectives. Bounded, in memory, gone
//! with the process: Prometheus keeps the rest.
//!
//! Nothing is counted here: each bucket is the difference of two readings of the metrics, so the page and `/metrics`
//! cannot disagree, and what happens costs nothing more than its counter.

mod objective;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_reason::Reason;
use serde::Serialize;

pub(crate) use objective::Objective;
use objective::Slots;

use crate::figures::metrics::Reading;

/// Time between two samples.
pub(crate) const BUCKET: Duration = Duration::from_secs(5);

/// Buckets that are kept: an hour, and the one that the page compares with.
const KEPT: usize = 721;

/// What is so at one moment, rather than counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Gauges {
    /// Live connections by mode; `echo` and `probe` beside the modes.
    pub(crate) connections: BTreeMap<&'static str, i64>,
    /// Connections in all, those in their handshake included.
    pub(crate) open: usize,
    /// Bytes in all outgoing queues, and in the fullest.
    pub(crate) queue_bytes: usize,
    pub(crate) queue_bytes_largest: usize,
    /// Runs that go on, and those that wait for the run before them.
    pub(crate) runs_going: u64,
    pub(crate) runs_waiting: u64,
}

/// What happened in one bucket. Zeros and empty maps are left out in JSON: most buckets of most servers are quiet.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bucket {
    /// Counts up from the start of the process.
    pub(crate) seq: u64,
    /// When it ended, in milliseconds since 1970.
    pub(crate) at: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    #[serde(flatten)]
    pub(crate) gauges: Gauges,
}

/// Counts of a bucket, or since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Counts {
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) accepted: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) refused: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) dropped: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) messages: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) messages_refused: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) events: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) deliveries: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) overflows: u64,
    /// Seconds from queueing to written, by the share of batches that took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Quantiles>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) runs_completed: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) runs_failed: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) heartbeat_timeouts: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) stale_pages: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) closes: BTreeMap<String, u64>,
}

/// Shares of a distribution, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&Reading> for Counts {
    fn from(reading: &Reading) -> Self {
        let ids = |reasons: &mut dyn Iterator<Item = (Reason, u64)>| {
            reasons.map(|(reason, count)| (reason.id(), count)).collect()
        };
        let latency = || {
            let at = |q| reading.latency(q);
            Some(Quantiles { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
        };
        Self {
            accepted: reading.accepted,
            refused: ids(&mut reading.refused()),
            dropped: reading.dropped,
            messages: reading.messages,
            messages_refused: ids(&mut reading.messages_refused()),
            events: reading.events,
            deliveries: reading.deliveries,
            overflows: reading.overflows,
            latency: latency(),
            runs_completed: reading.runs_completed,
            runs_failed: ids(&mut reading.runs_failed()),
            heartbeat_timeouts: reading.heartbeat_timeouts,
            stale_pages: reading.stale_pages,
            closes: reading.closes().collect(),
        }
    }
}

/// The past, as far as it is kept.
#[derive(Debug)]
pub(crate) struct History {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last: Reading,
    buckets: VecDeque<Bucket>,
    next: u64,
    slots: Slots,
}

impl History {
    /// Begins at `now`, in milliseconds since 1970, with nothing counted.
    pub(crate) fn new(now: u64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                last: Reading::default(),
                buckets: VecDeque::new(),
                next: 0,
                slots: Slots::new(now),
            }),
        }
    }

    /// Ends a bucket.
    pub(crate) fn sample(&self, now: u64, reading: Reading, gauges: Gauges) {
        let mut inner = self.inner.lock();
        let delta = reading.since(&inner.last);
        inner.last = reading;
        inner.slots.add(now, &delta);
        if inner.buckets.len() == KEPT {
            inner.buckets.pop_front();
        }
        let seq = inner.next;
        inner.next += 1;
        inner.buckets.push_back(Bucket { seq, at: now, counts: Counts::from(&delta), gauges });
    }

    /// The buckets after the one numbered `seq`; all of them without it, or if it is from another process' life.
    pub(crate) fn after(&self, seq: Option<u64>) -> Vec<Bucket> {
        let inner = self.inner.lock();
        let known = seq.filter(|&seq| seq < inner.next);
        inner.buckets.iter().filter(|bucket| known.is_none_or(|seq| bucket.seq > seq)).cloned().collect()
    }

    /// How the objectives stand, with what happened since the last sample.
    pub(crate) fn objectives(&self, now: u64, reading: &Reading) -> Vec<Objective> {
        let inner = self.inner.lock();
        let mut slots = inner.slots.clone();
        slots.add(now, &reading.since(&inner.last));
        slots.objectives(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::metrics::Metrics;

    #[test]
    fn a_bucket_holds_what_happened_since_the_last_one() {
        let (metrics, history) = (Metrics::new("n", "b"), History::new(0));
        metrics.accepted();
        metrics.rejected(Reason::TokenExpired);
        history.sample(5_000, metrics.read(), Gauges { open: 3, ..Gauges::default() });
        metrics.rejected(Reason::TokenExpired);
        metrics.rejected(Reason::NoToken);
        metrics.closed(Some(1011), Some(Reason::Internal));
        metrics.delivery_latency.observe(Duration::from_millis(3));
        history.sample(10_000, metrics.read(), Gauges::default());
        history.sample(15_000, metrics.read(), Gauges::default());

        let buckets = history.after(None);
        assert_eq!(buckets.iter().map(|bucket| bucket.seq).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((buckets[0].counts.accepted, buckets[0].gauges.open, buckets[0].at), (1, 3, 5_000));
        assert_eq!(buckets[0].counts.refused, BTreeMap::from([("TOKEN_EXPIRED", 1)]));
        assert_eq!(buckets[1].counts.refused, BTreeMap::from([("NO_TOKEN", 1), ("TOKEN_EXPIRED", 1)]));
        assert_eq!(buckets[1].counts.closes, BTreeMap::from([("1011".to_owned(), 1)]));
        let latency = buckets[1].counts.latency.unwrap();
        assert!(latency.p50 > 0.002 && latency.p99 <= 0.005, "{latency:?}");
        assert_eq!(buckets[2].counts, Counts::default(), "a quiet bucket is empty");
        let quiet = serde_json::to_value(&buckets[2]).unwrap();
        assert!(quiet.get("refused").is_none() && quiet["at"] == 15_000, "{quiet}");
    }

    #[test]
    fn a_reader_gets_what_it_has_not_seen() {
        let history = History::new(0);
        for n in 0..3 {
            history.sample(n * 5_000, Reading::default(), Gauges::default());
        }
        let seqs = |after| history.after(after).iter().map(|bucket| bucket.seq).collect::<Vec<_>>();
        assert_eq!(seqs(Some(0)), [1, 2]);
        assert_eq!(seqs(Some(2)), [0; 0]);
        assert_eq!(seqs(Some(99)), [0, 1, 2], "a number of an earlier life of the server");
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History::new(0);
        for n in 0..2_000_u64 {
            history.sample(n * 5_000, Reading::default(), Gauges::default());
        }
        let buckets = history.after(None);
        assert_eq!(buckets.len(), KEPT);
        assert_eq!(buckets[0].seq, 2_000 - KEPT as u64);
    }
}
