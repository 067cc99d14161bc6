//! The record of events and accepted messages: what of it must survive, and a store that sees to it.
//!
//! [`EventLog`] is the contract that the router is written against. A thread's stream looks like this, by `seq`:
//!
//! ```text
//!         trimmed                kept                 on its way
//!   1 ─────────────── first ─────────────── tail ─────────────────▶
//!     gone, and said          can be read          numbered, not yet
//!     so to who asks          again                acknowledged: seen by nobody
//! ```
//!
//! - A change is acknowledged once it is as durable as the log was asked to be, and changes are acknowledged in the order
//!   in which they were handed over. What is not acknowledged must be shown to nobody.
//! - After a failure nothing is acknowledged any more: what a device lost once it may have lost for good, whatever it
//!   says the next time. A restart reads what really is there.
//! - An accepted run stays open until the change that ends it, so the next start finds what a crash left undone.
//!
//! What was asked is not among it: people paste tokens, and a token is never written down. The exception is a
//! [`Question`] of which its agent says that it holds nothing of the kind: it stands beside its open run and nowhere else.
//!
//! [`Embedded`] is the implementation for one process, in a directory of its own. This crate knows no runtime: an
//! acknowledgement is a call from the log's own thread.

mod embedded;
mod owner;

use std::{fmt, ops::Range, path::PathBuf};

use bytes::Bytes;
use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use embedded::{Durability, Embedded};
pub use owner::Owner;

/// A message that was accepted and whose run has not ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// Whose it is.
    pub owner: Owner,
    /// The run.
    pub run_id: RunId,
    /// The thread that it stands in.
    pub thread_id: ThreadId,
    /// The message, by which sending it again is recognised.
    pub message_id: MessageId,
    /// The agent that answers.
    pub agent_id: String,
    /// What kind of agent it is.
    pub agent_type: String,
    /// The subject who asked.
    pub user_id: String,
    /// When, in milliseconds since 1970; later than the messages that the owner sent before.
    pub accepted_at: u64,
    /// Whether it is run again after a crash.
    #[serde(default, skip_serializing_if = "Repeat::is_never")]
    pub repeat: Repeat,
}

/// Whether a run that a crash cut off is run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// It is not: what was asked is not known any more.
    #[default]
    Never,
    /// It is, with this question.
    Once(Question),
    /// It was, and the question is gone: one that brings the server down does so twice at most.
    Done,
}

impl Repeat {
    const fn is_never(&self) -> bool {
        matches!(self, Self::Never)
    }
}

/// What was asked, kept for as long as its run is open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The words.
    pub content: String,
    /// What the front end sent beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// Whether the run is a world of its own: a fresh agent, and none of the thread's turns.
    pub fresh: bool,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRun").field("run_id", &self.run_id).finish_non_exhaustive()
    }
}

/// An event with its place.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose it is.
    pub owner: Owner,
    /// The stream.
    pub thread_id: ThreadId,
    /// The stream's life.
    pub epoch: Epoch,
    /// Its number, one more than the one before.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    /// The event as its v1 text.
    pub text: Bytes,
}

/// One thing to be recorded, whole or not at all.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message was accepted. Handed over again for a run that is open, it takes the place of what was there.
    Accept(OpenRun),
    /// A run told something.
    Event {
        /// What it told.
        record: Record,
        /// Numbers of the same stream that need not be kept any more.
        trim: Range<u64>,
        /// The run that ended with this event, and is open no more.
        ends: Option<RunId>,
    },
    /// A stream goes, with the messages that led to it and the runs that are open in it.
    Forget {
        /// Whose it is.
        owner: Owner,
        /// The stream.
        thread_id: ThreadId,
    },
}

/// A stream as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its life.
    pub epoch: Epoch,
    /// The number of the first event of `texts`.
    pub first: u64,
    /// The events, without gaps; never none.
    pub texts: Vec<Bytes>,
}

impl Stored {
    /// The number of the last event.
    pub fn tail(&self) -> u64 {
        self.first + self.texts.len() as u64 - 1
    }
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which one.
    pub thread_id: ThreadId,
    /// Its life.
    pub epoch: Epoch,
    /// The number of its last event.
    pub tail: u64,
    /// When that happened, in milliseconds since 1970.
    pub at: u64,
    /// Its text.
    pub last: Bytes,
}

/// How much is kept, beside what [`Change::Event`] trims.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// A stream whose last event is older than this goes, in milliseconds since 1970; open runs keep theirs. So does the
    /// memory of a message's id.
    pub before: u64,
    /// Streams of one owner; those that were silent for longest go first.
    pub threads: usize,
}

/// Why something cannot be recorded or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder has something in it that this program did not put there.
    #[error("{} is not a record of events: it has files of something else; name an empty folder", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a later version.
    #[error("{} was written by a later version (format {found}, known is {known}); use a newer program", path.display())]
    TooNew {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The latest one known.
        known: u32,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; stop that one, or name another data directory", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be used.
    #[error("the record of events in {} cannot be used", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
    /// What is there is damaged. Nothing was deleted.
    #[error("the record of events in {} is damaged ({detail}); move it away to start without it, nothing in it was changed", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A change could not be made durable: nothing is taken any more until a restart.
    #[error("the record of events failed: {0}")]
    Failed(String),
}

/// Called once a change is durable, or never will be. From the log's own thread, and soon to return.
pub type Done = Box<dyn FnOnce(Result<(), &Error>) + Send>;

/// The record. All methods are safe to call from any thread; those that read block for as long as reading takes.
pub trait EventLog: Send + Sync + 'static {
    /// Hands a change over. Returns at once; `done` is called later, in the order of handing over, never from here.
    fn append(&self, change: Change, done: Done);

    /// A stream as far as it was acknowledged; none if it is not there, which another owner's looks like.
    ///
    /// # Errors
    /// If it cannot be read.
    fn thread(&self, owner: &Owner, thread_id: &ThreadId) -> Result<Option<Stored>, Error>;

    /// The streams of an owner, as far as they were acknowledged, in no order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn threads(&self, owner: &Owner) -> Result<Vec<Summary>, Error>;

    /// The run and thread of a message that this owner sent before, if it is remembered.
    ///
    /// # Errors
    /// If it cannot be read.
    fn message(&self, owner: &Owner, id: &MessageId) -> Result<Option<(RunId, ThreadId)>, Error>;

    /// The runs that have not ended.
    ///
    /// # Errors
    /// If they cannot be read.
    fn open_runs(&self) -> Result<Vec<OpenRun>, Error>;

    /// Lets go of what need not be kept, and says how many streams went.
    ///
    /// # Errors
    /// If it cannot be read or written.
    fn sweep(&self, retention: Retention) -> Result<usize, Error>;
}
