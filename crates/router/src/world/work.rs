//! What a world's pump gets to do, and what it waits for.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use portcullis_event::{Pong, ResumePoint, ThreadId, Wire};
use portcullis_log::Commit;
use portcullis_reason::Rejection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{deliver::Numbered, message::Message, open::Taken};
use crate::{Outbox, thread::Run};

/// What has to ask the record before it is done.
pub(crate) enum Command {
    /// A message of a user.
    Message(Box<Message>),
    /// What a connection missed.
    Resume { outbox: Arc<Outbox>, wire: Wire, points: Vec<ResumePoint> },
    /// The next piece of it.
    CatchUp { outbox: Arc<Outbox>, wire: Wire },
    /// A thread is to be forgotten. Says when it is.
    Forget { thread_id: ThreadId, told: oneshot::Sender<Result<oneshot::Receiver<()>, Rejection>> },
    /// A sign of life, behind what was asked before.
    Pong { outbox: Arc<Outbox>, wire: Wire, pong: Pong },
    /// The record is to be open, and what a crash left in it to be taken up.
    Open { told: Option<oneshot::Sender<Result<Taken, Rejection>>> },
}

/// A change on its way into the record, and what is done once it is there.
pub(super) struct Handed {
    pub(super) commit: Commit,
    pub(super) then: Then,
}

pub(super) enum Then {
    /// The message is accepted: this is answered, the message is shown, and its run queued.
    Accepted { run: Box<Run>, said: Numbered, outbox: Arc<Outbox>, answer: Bytes },
    /// The run begins again.
    Reopened(oneshot::Sender<()>),
    /// The event is shown; the place that it had among those on their way is free again.
    Told { numbered: Numbered, since: Instant, room: Option<OwnedSemaphorePermit> },
    /// The thread is gone.
    Forgotten(ThreadId),
}
