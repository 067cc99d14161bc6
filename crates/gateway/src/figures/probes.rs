//! What the last probes found.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;

/// Probes that are kept: an hour of one every five seconds, or a day of one every two minutes.
const KEPT: usize = 720;

/// The window of the success rate, in milliseconds.
const WINDOW: u64 = 60 * 60 * 1_000;

/// How far a walk came.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The steps that succeeded.
    pub(crate) steps: Vec<Step>,
    pub(crate) failed: Option<Failed>,
}

/// One step that succeeded.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    name: &'static str,
    ms: f64,
}

/// The step that did not.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) step: &'static str,
    /// A reason's identifier, or what went wrong below HTTP. Nothing of a credential.
    pub(crate) reason: String,
}

impl Step {
    pub(crate) fn new(name: &'static str, time: Duration) -> Self {
        Self { name, ms: time.as_secs_f64() * 1_000.0 }
    }
}

impl Walk {
    /// The time of all steps that succeeded.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.steps.iter().map(|step| step.ms).sum::<f64>() / 1_000.0)
    }
}

/// The last probes, bounded.
#[derive(Debug, Default)]
pub(crate) struct ProbeLog {
    entries: Mutex<VecDeque<Entry>>,
    going: AtomicUsize,
    enabled: AtomicBool,
}

/// One probe, as the dashboard shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// When it began, in milliseconds since 1970.
    at: u64,
    ok: bool,
    duration_ms: f64,
    steps: Vec<Step>,
    failed: Option<Failed>,
}

/// The probes of the last hour.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProbeReport {
    succeeded: usize,
    failed: usize,
    /// The share that succeeded; none before the first probe.
    rate: Option<f64>,
    /// Newest last.
    entries: Vec<Entry>,
}

impl ProbeLog {
    pub(crate) fn add(&self, at: u64, walk: Walk) {
        let duration_ms = walk.time().as_secs_f64() * 1_000.0;
        let entry =
            Entry { at, ok: walk.failed.is_none(), duration_ms, steps: walk.steps, failed: walk.failed };
        let mut entries = self.entries.lock();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(crate) fn report(&self, now: u64) -> ProbeReport {
        let entries = self.entries.lock();
        let recent: Vec<_> =
            entries.iter().filter(|entry| entry.at.saturating_add(WINDOW) >= now).cloned().collect();
        let succeeded = recent.iter().filter(|entry| entry.ok).count();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
        let rate = (!recent.is_empty()).then(|| succeeded as f64 / recent.len() as f64);
        ProbeReport { succeeded, failed: recent.len() - succeeded, rate, entries: recent }
    }

    /// Says that probes will come.
    pub(crate) fn enable(&self) {
        self.enabled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Runs of ours that may be going on, to be left out of the users'.
    pub(crate) fn runs(&self) -> usize {
        self.going.load(Ordering::Relaxed)
    }

    /// Marks a probe as going on until the guard goes.
    pub(crate) fn going(&self) -> Going<'_> {
        self.going.fetch_add(1, Ordering::Relaxed);
        Going(&self.going)
    }
}

/// A probe that goes on.
pub(crate) struct Going<'l>(&'l AtomicUsize);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(ok: bool) -> Walk {
        Walk {
            steps: vec![Step::new("login", Duration::from_millis(7))],
            failed: (!ok).then(|| Failed { step: "connect", reason: "timeout".to_owned() }),
        }
    }

    #[test]
    fn the_rate_is_that_of_the_last_hour() {
        let log = ProbeLog::default();
        assert_eq!(log.report(0).rate, None);
        log.add(0, walk(false));
        log.add(WINDOW, walk(true));
        log.add(WINDOW + 60_000, walk(true));
        log.add(WINDOW + 120_000, walk(false));
        let report = log.report(WINDOW + 120_000);
        assert_eq!((report.succeeded, report.failed), (2, 1));
        assert!((report.rate.unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(report.entries.last().unwrap().failed.as_ref().unwrap().step, "connect");
    }

    #[test]
    fn no_more_than_its_bound_is_kept() {
        let log = ProbeLog::default();
        for _ in 0..2 * KEPT {
            log.add(0, walk(true));
        }
        assert_eq!(log.report(0).entries.len(), KEPT);
    }
}
