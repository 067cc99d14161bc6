//! What one user may use up, however many connections and conversations are theirs.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use portcullis_reason::{Reason, Rejection};
use portcullis_units::{Allowance, Wait};

use crate::shared::Shared;

/// A user's share of the server.
#[derive(Debug, Default)]
pub struct Share {
    /// Messages that may come.
    pub messages: Allowance,
    /// Pings, and pongs that nobody asked for, that may come.
    pub controls: Allowance,
    /// What of the record may be read, in KiB.
    reads: Allowance,
    /// Runs that are waiting or going on.
    runs: AtomicUsize,
}

impl Share {
    /// Whether the user may read more of the record.
    ///
    /// # Errors
    /// What was read has to be paid off for so long.
    pub(crate) fn may_read(&self, shared: &Shared) -> Result<(), Wait> {
        self.reads.ask(&shared.options.reads, shared.clock.instant())
    }

    /// The user has read so many bytes of the record.
    pub(crate) fn read(&self, shared: &Shared, bytes: usize) {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.reads.charge(&shared.options.reads, kib, shared.clock.instant());
    }
}

/// A run's place among its user's and among all. Dropping it gives it back.
pub(crate) struct Slot {
    shared: Arc<Shared>,
    share: Arc<Share>,
}

impl Slot {
    /// A place for one more run.
    ///
    /// # Errors
    /// [`Reason::TooManyRuns`] where the user has as many as may be, or all have.
    pub(crate) fn take(shared: &Arc<Shared>, share: &Arc<Share>) -> Result<Self, Rejection> {
        // Counted before anything is done for it, so that of many at once no more get in, and not counted for who is refused.
        let claim = |runs: &AtomicUsize, most| {
            let free = |runs| (runs < most).then_some(runs + 1);
            runs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
        };
        if !claim(&share.runs, shared.options.runs_per_user) {
            return Err(too_many_runs());
        }
        if !claim(&shared.runs, shared.options.runs) {
            share.runs.fetch_sub(1, Ordering::Relaxed);
            return Err(too_many_runs());
        }
        Ok(Self { shared: Arc::clone(shared), share: Arc::clone(share) })
    }

    /// A place for a run that has been accepted before, however many there are.
    pub(crate) fn beyond(shared: &Arc<Shared>, share: &Arc<Share>) -> Self {
        share.runs.fetch_add(1, Ordering::Relaxed);
        shared.runs.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), share: Arc::clone(share) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.share.runs.fetch_sub(1, Ordering::Relaxed);
        self.shared.runs.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

pub(crate) fn too_many_runs() -> Rejection {
    Rejection::new(Reason::TooManyRuns, "the cap on runs is reached")
        .with_hint("too many runs are going on; wait for one to end or cancel one")
}
