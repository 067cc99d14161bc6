//! What waits for the writer, and whether it takes anything.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use futures_channel::oneshot;
use portcullis_log::{AppendError, Change, Commit, Committer, OpenError, Owner, OwnerLog, ReadError};

use crate::{
    clock::CLOCK,
    store::{Old, locked},
};

/// Something for the writer to do.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are changes")]
pub(crate) enum Job {
    /// Record a change that was handed over through an opening of an owner's log.
    Append { owner: Owner, term: u64, change: Change, told: Committer },
    /// Open an owner's log.
    Open { owner: Owner, told: oneshot::Sender<Result<Arc<dyn OwnerLog>, OpenError>> },
    /// An opening is not used any more.
    Close { owner: Owner, term: u64 },
    /// Let go of streams, and of messages, that are still older than this.
    Sweep {
        streams: Vec<Old>,
        messages: Vec<Vec<u8>>,
        before: u64,
        told: oneshot::Sender<Result<usize, ReadError>>,
    },
    /// Something that read the record found that it cannot go on.
    Broken(Arc<str>),
}

/// The queue of jobs.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    status: Status,
    /// Why acceptances are refused, though all else is taken.
    full: Option<Arc<str>>,
    /// Since when the writer has been at what it does.
    busy: Option<Instant>,
    /// Who wants to know when nothing is taken any more.
    watchers: Vec<oneshot::Sender<Arc<str>>>,
}

/// Whether jobs are taken.
#[derive(Clone, Debug, Default)]
pub(crate) enum Status {
    #[default]
    Working,
    /// Not now: it is tried again after so long.
    Down { cause: Arc<str>, after: Duration },
    /// Never again in this process.
    Failed(Arc<str>),
    /// What waits is done, and nothing more.
    Closed,
}

/// What the writer gets to do.
pub(crate) enum Taken {
    Jobs(Vec<Job>),
    /// Nothing came until the time that it gave.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    /// Hands a job over; says why not where it is not taken.
    pub(crate) fn push(&self, job: Job) -> Result<(), Status> {
        let mut waiting = locked(&self.waiting);
        if !matches!(waiting.status, Status::Working) {
            return Err(waiting.status.clone());
        }
        if waiting.jobs.len() >= MOST_WAITING && !matches!(job, Job::Close { .. } | Job::Broken(_)) {
            let cause = format!("{MOST_WAITING} changes wait for the device already").into();
            return Err(Status::Down { cause, after: Duration::from_secs(1) });
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.wake.notify_all();
        Ok(())
    }

    /// Hands a change over, and says what becomes of it.
    pub(crate) fn append(&self, owner: Owner, term: u64, change: Change) -> Commit {
        let (told, commit) = Commit::awaited();
        match self.push(Job::Append { owner, term, change, told }) {
            Ok(()) => commit,
            Err(status) => Commit::known(Err(status.refuses_change())),
        }
    }

    /// What is to be done next: all that waits, 512 jobs at most. More would let the first wait for long.
    pub(crate) fn take(&self, until: Instant) -> Taken {
        let mut waiting = locked(&self.waiting);
        waiting.busy = None;
        loop {
            if !waiting.jobs.is_empty() {
                waiting.busy = Some(CLOCK.instant());
                let most = waiting.jobs.len().min(MOST_AT_ONCE);
                return Taken::Jobs(waiting.jobs.drain(..most).collect());
            }
            if matches!(waiting.status, Status::Closed) {
                return Taken::Closed;
            }
            let left = until.saturating_duration_since(CLOCK.instant());
            if left.is_zero() {
                waiting.busy = Some(CLOCK.instant());
                return Taken::Nothing;
            }
            waiting =
                self.wake.wait_timeout(waiting, left).map_or_else(|error| error.into_inner().0, |it| it.0);
        }
    }

    /// From now on nothing is taken. What waited is not done.
    pub(crate) fn fail(&self, status: Status) -> Vec<Job> {
        let mut waiting = locked(&self.waiting);
        waiting.busy = None;
        let watchers = match &status {
            Status::Failed(cause) => {
                waiting.watchers.drain(..).map(|watcher| (watcher, Arc::clone(cause))).collect()
            }
            _ => Vec::new(),
        };
        if !matches!(waiting.status, Status::Closed) {
            waiting.status = status;
        }
        let jobs = waiting.jobs.drain(..).collect();
        drop(waiting);
        for (watcher, cause) in watchers {
            let _ = watcher.send(cause);
        }
        jobs
    }

    /// From now on jobs are taken again.
    pub(crate) fn resume(&self) {
        let mut waiting = locked(&self.waiting);
        if !matches!(waiting.status, Status::Closed) {
            waiting.status = Status::Working;
        }
    }

    /// From now on nothing is taken; what waits is still done.
    pub(crate) fn close(&self) {
        locked(&self.waiting).status = Status::Closed;
        self.wake.notify_all();
    }

    /// Waits for so long, unless the queue is closed before: whether it was.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let until = CLOCK.instant() + pause;
        let mut waiting = locked(&self.waiting);
        loop {
            let left = until.saturating_duration_since(CLOCK.instant());
            if matches!(waiting.status, Status::Closed) || left.is_zero() {
                return matches!(waiting.status, Status::Closed);
            }
            waiting =
                self.wake.wait_timeout(waiting, left).map_or_else(|error| error.into_inner().0, |it| it.0);
        }
    }

    /// Says why acceptances are refused, though all else is taken.
    pub(crate) fn set_full(&self, full: Option<Arc<str>>) {
        locked(&self.waiting).full = full;
    }

    /// Whether changes are taken.
    pub(crate) fn ready(&self) -> Result<(), Arc<str>> {
        self.serves()?;
        locked(&self.waiting).full.clone().map_or(Ok(()), Err)
    }

    /// Whether changes are taken, but for acceptances.
    pub(crate) fn serves(&self) -> Result<(), Arc<str>> {
        let waiting = locked(&self.waiting);
        match &waiting.status {
            Status::Working => {}
            Status::Down { cause, .. } | Status::Failed(cause) => return Err(Arc::clone(cause)),
            Status::Closed => return Err(CLOSED.into()),
        }
        match waiting.busy.map(|busy| busy.elapsed()) {
            Some(long) if long >= STUCK => {
                Err(format!("the device has not answered for {} seconds", long.as_secs()).into())
            }
            _ => Ok(()),
        }
    }

    /// Tells when nothing is taken any more until a restart, and why.
    pub(crate) fn watch(&self) -> oneshot::Receiver<Arc<str>> {
        let (told, failed) = oneshot::channel();
        let mut waiting = locked(&self.waiting);
        if let Status::Failed(cause) = &waiting.status {
            let _ = told.send(Arc::clone(cause));
        } else {
            waiting.watchers.retain(|watcher| !watcher.is_canceled());
            waiting.watchers.push(told);
        }
        failed
    }
}

impl Status {
    pub(crate) fn refuses_change(&self) -> AppendError {
        match self {
            Self::Down { cause, after } => {
                AppendError::Unavailable { cause: Arc::clone(cause), after: *after }
            }
            Self::Failed(cause) => AppendError::Failed(Arc::clone(cause)),
            Self::Working | Self::Closed => AppendError::Failed(CLOSED.into()),
        }
    }

    pub(crate) fn refuses_opening(&self) -> OpenError {
        match self {
            Self::Down { cause, after } => OpenError::Unavailable { cause: Arc::clone(cause), after: *after },
            Self::Failed(cause) => OpenError::Damaged(Arc::clone(cause)),
            Self::Working | Self::Closed => {
                OpenError::Unavailable { cause: CLOSED.into(), after: Duration::from_secs(1) }
            }
        }
    }

    pub(crate) fn refuses_reading(&self) -> ReadError {
        match self {
            Self::Down { cause, .. } | Self::Failed(cause) => ReadError::Unavailable(Arc::clone(cause)),
            Self::Working | Self::Closed => ReadError::Unavailable(CLOSED.into()),
        }
    }
}

impl Job {
    /// Tells whoever waits for it that it is not done.
    pub(crate) fn refuse(self, status: &Status) {
        match self {
            Self::Append { told, .. } => told.tell(Err(status.refuses_change())),
            Self::Open { told, .. } => drop(told.send(Err(status.refuses_opening()))),
            Self::Sweep { told, .. } => drop(told.send(Err(status.refuses_reading()))),
            Self::Close { .. } | Self::Broken(_) => {}
        }
    }
}

pub(crate) const CLOSED: &str = "the record is closed";

/// Jobs that are done together at most.
const MOST_AT_ONCE: usize = 512;
/// Jobs that wait at most: far more than the runs of all users have under way.
const MOST_WAITING: usize = 1 << 17;
/// After so long it is not the device's pace any more.
const STUCK: Duration = Duration::from_secs(20);
