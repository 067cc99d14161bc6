//! All counts at one moment, for the history: what happened between two moments is the difference of two readings.

use portcullis_event::MessageType;
use portcullis_reason::Reason;
use prometheus_client::metrics::counter::Counter;

use super::{
    Metrics,
    latency::{self, Counts},
};

/// Counts since the start of the process, or since another reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) accepted: u64,
    refused: Box<[u64]>,
    pub(crate) dropped: u64,
    pub(crate) messages: u64,
    messages_refused: Box<[u64]>,
    pub(crate) events: u64,
    runs_started: u64,
    pub(crate) deliveries: u64,
    pub(crate) overflows: u64,
    latency: Counts,
    pub(crate) runs_completed: u64,
    runs_failed: Box<[u64]>,
    pub(crate) heartbeat_timeouts: u64,
    pub(crate) stale_pages: u64,
    /// By code, then those of the peers' choice under 0.
    closes: Box<[(u16, u64)]>,
}

impl Metrics {
    /// The counts now. Each is exact; between two of them something may have happened.
    pub(crate) fn read(&self) -> Reading {
        let started = self.events.get(MessageType::AgentStarted as usize).map_or(0, Counter::get);
        let closes = self.closes.known.iter().map(|(&code, counter)| (code, counter.get()));
        Reading {
            accepted: self.accepted.get(),
            refused: self.rejections.read(),
            dropped: self.dropped.get(),
            messages: self.messages.get(),
            messages_refused: self.messages_refused.read(),
            events: self.events.iter().map(Counter::get).sum(),
            runs_started: started,
            deliveries: self.deliveries.get(),
            overflows: self.overflows.get(),
            latency: self.delivery_latency.counts(),
            runs_completed: self.runs_completed.get(),
            runs_failed: self.runs.read(),
            heartbeat_timeouts: self.heartbeat_timeouts.get(),
            stale_pages: self.stale_pages.get(),
            closes: closes.chain([(0, self.closes.other.get())]).collect(),
        }
    }
}

impl Reading {
    /// What happened since `earlier`, a reading of the same metrics.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let of = |now: &[u64], before: &[u64]| -> Box<[u64]> {
            let before = before.iter().copied().chain(std::iter::repeat(0));
            now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect()
        };
        let code = |code: u16| earlier.closes.iter().find(|(known, _)| *known == code).map_or(0, |&(_, n)| n);
        Self {
            accepted: self.accepted.saturating_sub(earlier.accepted),
            refused: of(&self.refused, &earlier.refused),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            messages: self.messages.saturating_sub(earlier.messages),
            messages_refused: of(&self.messages_refused, &earlier.messages_refused),
            events: self.events.saturating_sub(earlier.events),
            runs_started: self.runs_started.saturating_sub(earlier.runs_started),
            deliveries: self.deliveries.saturating_sub(earlier.deliveries),
            overflows: self.overflows.saturating_sub(earlier.overflows),
            latency: std::array::from_fn(|i| self.latency[i].saturating_sub(earlier.latency[i])),
            runs_completed: self.runs_completed.saturating_sub(earlier.runs_completed),
            runs_failed: of(&self.runs_failed, &earlier.runs_failed),
            heartbeat_timeouts: self.heartbeat_timeouts.saturating_sub(earlier.heartbeat_timeouts),
            stale_pages: self.stale_pages.saturating_sub(earlier.stale_pages),
            closes: self.closes.iter().map(|&(c, now)| (c, now.saturating_sub(code(c)))).collect(),
        }
    }

    /// Refused handshakes by reason, without the reasons that did not occur.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        by_reason(&self.refused)
    }

    /// Messages answered by an error, by reason.
    pub(crate) fn messages_refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        by_reason(&self.messages_refused)
    }

    /// Runs that ended without an answer, by reason.
    pub(crate) fn runs_failed(&self) -> impl Iterator<Item = (Reason, u64)> {
        by_reason(&self.runs_failed)
    }

    /// Runs that have begun and not ended; only of a reading since the start.
    pub(crate) fn runs_going(&self) -> u64 {
        let failed: u64 = self.runs_failed.iter().sum();
        self.runs_started.saturating_sub(self.runs_completed + failed)
    }

    /// Close frames by code, without the codes that were not sent.
    pub(crate) fn closes(&self) -> impl Iterator<Item = (String, u64)> {
        let sent = self.closes.iter().filter(|(_, count)| *count > 0);
        sent.map(|&(code, count)| (if code == 0 { "other".to_owned() } else { code.to_string() }, count))
    }

    /// Close frames of one code.
    pub(crate) fn closed_with(&self, code: u16) -> u64 {
        self.closes.iter().find(|(known, _)| *known == code).map_or(0, |&(_, count)| count)
    }

    /// The time in seconds within which the share `q` of the batches was written.
    pub(crate) fn latency(&self, q: f64) -> Option<f64> {
        latency::quantile(&self.latency, q)
    }
}

fn by_reason(counts: &[u64]) -> impl Iterator<Item = (Reason, u64)> {
    Reason::ALL.iter().copied().zip(counts.iter().copied()).filter(|(_, count)| *count > 0)
}
