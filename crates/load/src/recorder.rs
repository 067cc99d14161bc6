//! What was measured: latencies by step, failures by kind, and both over time.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{Failure, Failures, Latencies, clock::now};

/// The moments at which an operation got somewhere. The first is what the operation is measured by.
pub(crate) type Marks = Vec<(&'static str, Instant)>;

/// Everything measured in one stretch of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    /// Latencies to each step, the main one first.
    pub(crate) steps: Vec<(&'static str, Latencies)>,
    /// Operations that succeeded.
    pub(crate) succeeded: u64,
    pub(crate) failures: Failures,
    /// Operations that ended in each slot of time, good and failed ones.
    pub(crate) timeline: Vec<(u64, u64)>,
    /// From when an operation was due until the generator began with it.
    pub(crate) lag: Latencies,
    /// Operations that waited for a free place among those under way.
    pub(crate) queued: u64,
    /// Operations that were due and never began.
    pub(crate) unstarted: u64,
    /// The end of the last operation, from the beginning.
    pub(crate) last: Duration,
}

impl Recording {
    /// Takes what another recorded at the same time.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, latencies) in &other.steps {
            self.step(name).merge(latencies);
        }
        self.succeeded += other.succeeded;
        self.failures.merge(&other.failures);
        if self.timeline.len() < other.timeline.len() {
            self.timeline.resize(other.timeline.len(), (0, 0));
        }
        for (mine, theirs) in self.timeline.iter_mut().zip(&other.timeline) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
        self.lag.merge(&other.lag);
        self.queued += other.queued;
        self.unstarted += other.unstarted;
        self.last = self.last.max(other.last);
    }

    /// Takes what another recorded after this one: its time follows, from `slots` on.
    pub(crate) fn append(&mut self, other: &Self, slots: usize, length: Duration) {
        let mut later = other.clone();
        self.timeline.resize(slots.max(self.timeline.len()), (0, 0));
        let mut timeline = vec![(0, 0); slots];
        timeline.append(&mut later.timeline);
        later.timeline = timeline;
        later.last += length;
        self.merge(&later);
    }

    /// Latencies to the main step.
    pub(crate) fn main(&self) -> Option<&Latencies> {
        self.steps.first().map(|(_, latencies)| latencies)
    }

    fn step(&mut self, name: &'static str) -> &mut Latencies {
        let place = self.steps.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.steps.push((name, Latencies::new()));
            self.steps.len() - 1
        });
        &mut self.steps[place].1
    }
}

/// Takes measurements from many tasks at once. What began before `begin` was warm-up and is not kept.
pub(crate) struct Recorder {
    begin: Instant,
    slot: Duration,
    shards: Vec<Mutex<Recording>>,
    turn: AtomicUsize,
    under_way: AtomicU64,
}

impl Recorder {
    /// Measures from `begin` on, in slots of `slot`. `steps` gives the order of the steps in reports.
    pub(crate) fn new(begin: Instant, slot: Duration, steps: &[&'static str]) -> Self {
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        let shard = || {
            let steps = steps.iter().map(|name| (*name, Latencies::new())).collect();
            Mutex::new(Recording { steps, ..Recording::default() })
        };
        Self {
            begin,
            slot,
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            turn: AtomicUsize::new(0),
            under_way: AtomicU64::new(0),
        }
    }

    /// When measuring begins.
    pub(crate) const fn begin(&self) -> Instant {
        self.begin
    }

    /// An operation that was due at `due` ended.
    pub(crate) fn ended(&self, due: Instant, outcome: &Result<Marks, Failure>) {
        if due < self.begin {
            return;
        }
        let now = now().saturating_duration_since(self.begin);
        let slot = (now.as_nanos() / self.slot.as_nanos().max(1)) as usize;
        self.with(|recording| {
            recording.last = recording.last.max(now);
            if recording.timeline.len() <= slot {
                recording.timeline.resize(slot + 1, (0, 0));
            }
            match outcome {
                Ok(marks) => {
                    recording.succeeded += 1;
                    recording.timeline[slot].0 += 1;
                    for (name, moment) in marks {
                        recording.step(name).record(moment.saturating_duration_since(due));
                    }
                }
                Err(failure) => {
                    recording.failures.add(failure);
                    recording.timeline[slot].1 += 1;
                }
            }
        });
    }

    /// The generator was `lag` late with an operation that was due at `due`, or with a timer.
    pub(crate) fn lagged(&self, due: Instant, lag: Duration) {
        if due >= self.begin {
            self.with(|recording| recording.lag.record(lag));
        }
    }

    /// An operation had to wait for a place.
    pub(crate) fn queued(&self, due: Instant) {
        if due >= self.begin {
            self.with(|recording| recording.queued += 1);
        }
    }

    /// An operation never began.
    pub(crate) fn unstarted(&self, due: Instant) {
        if due >= self.begin {
            self.with(|recording| recording.unstarted += 1);
        }
    }

    /// Everything so far.
    pub(crate) fn snapshot(&self) -> Recording {
        let mut whole = Recording::default();
        for shard in &self.shards {
            whole.merge(&shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
        whole
    }

    /// Counts an operation as under way for as long as the value lives.
    pub(crate) fn enter(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.under_way)
    }

    /// Operations under way.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    fn with(&self, act: impl FnOnce(&mut Recording)) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        act(&mut self.shards[turn].lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// An operation that has begun.
pub(crate) struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
