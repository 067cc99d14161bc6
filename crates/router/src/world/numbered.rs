//! An event on its way: numbered and encoded, not yet seen by anybody.

use bytes::Bytes;
use portcullis_event::{Envelope, RunId, ThreadId};
use portcullis_log::{Owner, Record};

/// An event with its place, not yet seen by anybody.
pub(super) struct Numbered {
    pub(super) envelope: Envelope,
    /// As v1.
    pub(super) frame: Bytes,
}

/// Where a run's events go.
pub(crate) struct Place {
    pub(crate) owner: Owner,
    pub(crate) thread_id: ThreadId,
    pub(crate) run_id: RunId,
}

impl Numbered {
    pub(super) fn record(&self, owner: Owner) -> Record {
        let position = self.envelope.position.as_ref().expect("a numbered event has a place");
        Record {
            owner,
            thread_id: self.envelope.thread_id.clone().expect("an event has a thread"),
            epoch: position.epoch.clone(),
            seq: position.seq,
            at: self.envelope.timestamp.unix_ms().unsigned_abs(),
            text: portcullis_frame::payload_of(&self.frame),
        }
    }
}
