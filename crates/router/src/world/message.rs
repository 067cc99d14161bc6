//! What a user says, on its way to a run.

use std::{sync::Arc, time::Instant};

use portcullis_event::{MessageId, ThreadId, UserMessage, Wire};

use crate::{Outbox, agents::Chosen, share::Share};

/// A message of a user on its way to its agent.
pub(crate) struct Message {
    /// The connection that sent it.
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) wire: Wire,
    /// The user's, whatever world it is said in.
    pub(crate) share: Arc<Share>,
    pub(crate) user_id: Arc<str>,
    pub(crate) id: Option<MessageId>,
    pub(crate) thread_id: Option<ThreadId>,
    pub(crate) said: UserMessage,
    pub(crate) chosen: Chosen,
    /// Whether its run is a world of its own: a fresh agent, and none of the thread's turns.
    pub(crate) fresh: bool,
    pub(crate) sent: Instant,
}

impl Message {
    /// Whether it is for that thread, or names none.
    pub(super) fn may_stand_in(&self, thread_id: &ThreadId) -> bool {
        self.thread_id.as_ref().is_none_or(|named| named == thread_id)
    }
}
