//! What the record has is queued for every socket.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_event::{Envelope, EventId, Position, ServerMessage, Timestamp, Wire};
use portcullis_log::Record;

use super::{State, World};
use crate::{
    shared::{Shared, encode},
    thread::Place,
};

/// An event with its number, not yet seen by anybody.
pub(super) struct Numbered {
    envelope: Envelope,
    /// As v1.
    pub(super) frame: Bytes,
}

impl Numbered {
    pub(super) fn new(position: Position, run: &Place, now: Timestamp, message: ServerMessage) -> Self {
        let id = EventId::numbered(position.epoch.as_str(), position.seq)
            .expect("an epoch and a number are an id");
        let (thread_id, run_id) = (run.thread_id.clone(), run.run_id.clone());
        let envelope = Envelope::event(id, position, thread_id, run_id, now, message);
        Self { frame: encode(&envelope, Wire::V1), envelope }
    }

    pub(super) fn record(&self) -> Record {
        let position = self.envelope.position.as_ref().expect("a numbered event has a place");
        Record {
            thread_id: self.envelope.thread_id.clone().expect("an event has a thread"),
            epoch: position.epoch.clone(),
            seq: position.seq,
            at: self.envelope.timestamp.unix_ms().unsigned_abs(),
            text: portcullis_frame::payload_of(&self.frame),
        }
    }
}

impl World {
    /// Queues an event for every socket that is not behind in its thread.
    pub(super) fn deliver(self: &Arc<Self>, state: &mut State, shared: &Shared, numbered: Numbered) {
        let Numbered { envelope, frame } = numbered;
        let Some(talk) = &mut state.talk else { return };
        // Each form is encoded once for all sockets, and the older one only where one of them speaks it.
        let mut legacy: Option<Bytes> = None;
        let thread_id = envelope.thread_id.as_ref().expect("an event has a thread");
        let observer = self.observer(shared);
        // Older clients take every message of this name for one of their own kind.
        let is_said = matches!(envelope.message, ServerMessage::UserMessage(_));
        let now = shared.clock.instant();
        for socket in state.sockets.as_slice() {
            if is_said && socket.wire == Wire::Legacy {
                continue;
            }
            if !talk.is_level(&socket.outbox, thread_id) {
                continue;
            }
            let frame = match socket.wire {
                Wire::V1 => frame.clone(),
                Wire::Legacy => legacy.get_or_insert_with(|| encode(&envelope, Wire::Legacy)).clone(),
            };
            self.push(shared, &socket.outbox, frame, now);
        }
        if let Some(thread) = talk.threads.get_mut(thread_id) {
            if is_terminal(&envelope.message)
                && let Some(run_id) = &envelope.run_id
            {
                thread.seen_to_end(run_id);
            }
            thread.committed();
        }
        observer.event(envelope.message.kind(), state.sockets.as_slice().len());
    }
}

/// Whether nothing of its run comes after it.
pub(super) fn is_terminal(message: &ServerMessage) -> bool {
    message.kind().is_terminal()
}
