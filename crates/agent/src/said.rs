//! What a user says to a run that goes on.

use std::fmt;

use portcullis_event::MessageId;

/// What a user said to a run.
#[derive(Clone, PartialEq, Eq)]
pub struct Said {
    /// The message.
    pub message_id: MessageId,
    /// The words. Untrusted; they may contain the user's own token.
    pub content: String,
}

// Written by hand: what was said, and with it a pasted token, must not reach a log through `Debug`.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}
