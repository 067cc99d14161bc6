//! This process, as its answers and its log name it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis_units::{Clock, random};

/// A name that is new at each start, and what hangs on it.
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    clock: Clock,
    started: Instant,
    requests: AtomicU64,
}

impl Node {
    /// A node that starts now.
    pub(crate) fn start(clock: Clock) -> Self {
        let started = clock.instant();
        Self { name: random::hex::<4>().into(), clock, started, requests: AtomicU64::new(0) }
    }

    /// A name for one request: in the answer, in the log and nowhere else.
    pub(crate) fn request_id(&self) -> String {
        format!("{}-{:x}", self.name, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// The time since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.since(self.started)
    }
}
