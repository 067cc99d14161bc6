//! The record of events and accepted messages: what of it must survive, and for whom it is kept.
//!
//! [`EventLog`] is the contract that the router is written against, and [`OwnerLog`] the part of it that one user has: it
//! is opened once, by whoever routes for that user, and from then on no call can name a wrong owner. A thread's stream
//! looks like this, by `seq`:
//!
//! ```text
//!         trimmed                kept                 on its way
//!   1 ─────────────── first ─────────────── tail ─────────────────▶
//!     gone, and said          can be read          numbered, not yet
//!     so to who asks          again                committed: seen by nobody
//! ```
//!
//! - A change is committed once it is as durable as the log was asked to be, and the changes of one owner are committed in
//!   the order in which they were handed over. What is not committed must be shown to nobody.
//! - A refusal is the end of its handle: nothing that was handed over behind it is recorded, and nothing more is taken. So
//!   a stream never has a hole. Whoever was refused opens the owner's log again, and finds there what really was recorded.
//! - An accepted run stays open until the change that ends it, so whoever opens the log next finds what was left undone.
//! - The numbers of a stream are given by whoever has it open: a record's `seq` says that the stream ended one before it.
//!   A log that others write to as well answers a record that does not fit with [`AppendError::Fenced`].
//! - A stream whose end may have been lost begins a new epoch, so that no number is taken for another's.
//!
//! [`Memory`] keeps all of it for as long as the process lives. This crate knows no runtime: who waits is woken by whichever
//! thread has the news. With the feature `suite` the module of that name is the contract as tests, for every implementation to run.

mod change;
mod commit;
mod limits;
mod memory;
mod owner;
mod renewed;
#[cfg(feature = "suite")]
pub mod suite;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use serde::{Deserialize, Serialize};

pub use change::{Change, OpenRun, Question, Record, Repeat};
pub use commit::{Commit, Committer};
pub use limits::{EVENT_COST, Limits, Quota};
pub use memory::Memory;
pub use owner::Owner;
pub use renewed::renewed;

/// How durable a committed change is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It is on the device: it survives the loss of power.
    #[default]
    Device,
    /// The operating system has it: it survives the process, also `kill -9`, and not the machine.
    Os,
}

/// The record of all users. Every method is safe to call from any thread, and returns at once: what takes its time is a
/// future.
pub trait EventLog: Send + Sync + 'static {
    /// Opens what is kept of one owner. Whoever had it open before is fenced.
    fn open(&self, owner: Owner) -> BoxFuture<'static, Result<Arc<dyn OwnerLog>, OpenError>>;

    /// The owners with runs that have not ended: what a crash left open is taken up by whoever opens their logs.
    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Owner>, ReadError>>;

    /// Lets go of the streams whose last event is older than `before`, in milliseconds since 1970, and of the ids of
    /// messages that are; open runs keep their streams. Says how many streams went.
    fn sweep(&self, before: u64) -> BoxFuture<'static, Result<usize, ReadError>>;

    /// Whether all changes are taken, and if not, why, in words for an operator.
    ///
    /// # Errors
    /// The cause, while nothing can be recorded, or no message be accepted.
    fn ready(&self) -> Result<(), Arc<str>>;

    /// Whether what is there can be read and let go of, and what is under way recorded: where only acceptances are refused,
    /// there is no room for more.
    ///
    /// # Errors
    /// The cause, while nothing can be recorded.
    fn serves(&self) -> Result<(), Arc<str>> {
        self.ready()
    }
}

/// The record of one user, open for whoever routes for them.
pub trait OwnerLog: Send + Sync + 'static {
    /// Hands a change over, and returns at once. It is on its way whether or not the commit is awaited.
    fn append(&self, change: Change) -> Commit;

    /// A stream's extent; none if it is not there.
    fn stream(&self, thread_id: &ThreadId) -> BoxFuture<'static, Result<Option<Stream>, ReadError>>;

    /// The committed events of a stream behind `after`, as many as come to `most` bytes and at least one, from the first one
    /// that is kept where `after` lies before it; none if the stream is not there.
    fn read(
        &self,
        thread_id: &ThreadId,
        after: u64,
        most: usize,
    ) -> BoxFuture<'static, Result<Option<Page>, ReadError>>;

    /// The streams that come behind `after` in the order of their last events, the latest first, `most` of them.
    fn threads(
        &self,
        after: Option<Place>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Summary>, ReadError>>;

    /// What became of the message of that id that was accepted last, as long as that is remembered: of the last 256 at least.
    fn message(&self, id: &MessageId) -> BoxFuture<'static, Result<Option<Accepted>, ReadError>>;

    /// The bound on what is kept for which no further message is to be accepted; none where there is room, or it is not
    /// known. It is told at once. What is under way goes on beyond it, and what is forgotten counts no more.
    fn full(&self) -> Option<Quota> {
        None
    }

    /// The runs that have not ended, in the order in which they were accepted.
    fn open_runs(&self) -> BoxFuture<'static, Result<Vec<OpenRun>, ReadError>>;
}

/// A stream as far as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its life.
    pub epoch: Epoch,
    /// The number of the first event that is kept; one more than `tail` where none is.
    pub first: u64,
    /// The number of the last event.
    pub tail: u64,
}

/// Some events of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The stream.
    pub stream: Stream,
    /// The number of the first event of `events`.
    pub from: u64,
    /// The events as their v1 texts, without gaps. None only where none is left.
    pub events: Vec<Bytes>,
}

/// A stream's place in the order of last events: its time in milliseconds since 1970, then its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When its last event happened.
    pub at: u64,
    /// Its name.
    pub thread_id: ThreadId,
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where it stands.
    pub place: Place,
    /// Its extent.
    pub stream: Stream,
    /// The text of its last event.
    pub last: Bytes,
}

/// What a message's id leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The run that answers it.
    pub run_id: RunId,
    /// The thread that it stands in.
    pub thread_id: ThreadId,
}

/// Why an owner's log cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another node has it, and is the one to ask.
    #[error("node {node} holds the record of this user")]
    Held {
        /// Which one.
        node: Arc<str>,
    },
    /// Not now: try again after so long.
    #[error("the record cannot be opened for now: {cause}")]
    Unavailable {
        /// Why, for an operator.
        cause: Arc<str>,
        /// When to try again.
        after: Duration,
    },
    /// What is there is damaged. Nothing was deleted.
    #[error("the record is damaged: {0}")]
    Damaged(Arc<str>),
}

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not now: it may be read later.
    #[error("the record cannot be read for now: {0}")]
    Unavailable(Arc<str>),
    /// What is there is damaged. Nothing was deleted.
    #[error("the record is damaged: {0}")]
    Damaged(Arc<str>),
}

/// Why a change was refused. It is not recorded, nor is what was handed over behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has opened the owner's log since, or this handle was refused something before.
    #[error("another has opened the record of this user since")]
    Fenced,
    /// Not now: the log may be opened again after so long.
    #[error("the record takes nothing for now: {cause}")]
    Unavailable {
        /// Why, for an operator.
        cause: Arc<str>,
        /// When to try again.
        after: Duration,
    },
    /// The message of this acceptance was accepted before, in the same thread.
    #[error("the message was accepted before")]
    AlreadyAccepted(Accepted),
    /// Nothing is taken any more, until a restart.
    #[error("the record has failed: {0}")]
    Failed(Arc<str>),
}
