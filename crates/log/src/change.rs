//! What is recorded.

use std::fmt;

use bytes::Bytes;
use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing to be recorded, whole or not at all.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message was accepted, and told to its thread.
    Accept {
        /// The run that answers it.
        run: OpenRun,
        /// The event that shows the message; none where nothing of it is told.
        told: Option<Record>,
    },
    /// An open run begins again: this takes the place of what the record has of it.
    Reopen(OpenRun),
    /// A run told something.
    Event {
        /// What it told.
        record: Record,
        /// The run that ended with this event, and is open no more.
        ends: Option<RunId>,
    },
    /// A stream goes, with the messages that led to it and the runs that are open in it. Once this is committed no byte of
    /// its events, nor of the questions of its runs, can be had from what is stored.
    Forget(ThreadId),
}

/// An event with its place.
#[derive(Clone, Debug)]
pub struct Record {
    /// The stream.
    pub thread_id: ThreadId,
    /// The stream's life.
    pub epoch: Epoch,
    /// Its number: the stream ended one before it.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    /// The event as its v1 text.
    pub text: Bytes,
}

/// A message that was accepted and whose run has not ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
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
