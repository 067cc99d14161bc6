//! How much is kept of an owner, and of all.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use portcullis_log::{Limits, Quota};

/// What is kept of one owner, and of all.
#[derive(Clone, Default)]
pub(crate) struct Usage {
    pub(crate) own: Arc<AtomicU64>,
    pub(crate) all: Arc<AtomicU64>,
}

impl Usage {
    pub(crate) fn reached(&self, limits: &Limits) -> Option<Quota> {
        limits.reached(self.own.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }

    /// A stream counts for something else than before.
    pub(crate) fn change(&self, before: u64, now: u64) {
        for count in [&self.own, &self.all] {
            count.fetch_add(now, Ordering::Relaxed);
            count.fetch_sub(before, Ordering::Relaxed);
        }
    }
}
