//! What the record has is queued for every socket.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_event::{Envelope, EventId, Position, ServerMessage, Timestamp, Wire};
use portcullis_log::Record;

use super::{State, World, sockets::Socket};
use crate::{
    Delivery, StreamPosition,
    shared::{Shared, encode},
    thread::Place,
};

/// An event with its number, not yet seen by anybody.
pub(super) struct Numbered {
    envelope: Envelope,
    position: StreamPosition,
    /// For each wire that somebody has asked for.
    frames: [Option<Bytes>; Wire::COUNT],
}

impl Numbered {
    pub(super) fn new(position: StreamPosition, run: &Place, now: Timestamp, message: ServerMessage) -> Self {
        let StreamPosition { stream, seq } = &position;
        let id = EventId::numbered(stream.epoch.as_str(), *seq).expect("an epoch and a number are an id");
        let (thread_id, run_id) = (run.thread_id.clone(), run.run_id.clone());
        let at = Position { epoch: stream.epoch.clone(), seq: *seq };
        let envelope = Envelope::event(id, at, thread_id, run_id, now, message);
        Self { envelope, position, frames: [const { None }; Wire::COUNT] }
    }

    /// The event as a wire has it, encoded for the first who asks.
    fn frame(&mut self, wire: Wire) -> &Bytes {
        self.frames[wire as usize].get_or_insert_with(|| encode(&self.envelope, wire))
    }

    /// What the record keeps of it, and how many bytes it has.
    pub(super) fn record(&mut self) -> (Record, usize) {
        let frame = self.frame(Wire::V1);
        let (text, size) = (portcullis_frame::payload_of(frame), frame.len());
        let StreamPosition { stream, seq } = &self.position;
        let record = Record {
            thread_id: stream.thread_id.clone(),
            epoch: stream.epoch.clone(),
            seq: *seq,
            at: self.envelope.timestamp.unix_ms().unsigned_abs(),
            text,
        };
        (record, size)
    }
}

impl World {
    /// Queues an event for every socket that is not behind in its thread.
    pub(super) fn deliver(self: &Arc<Self>, state: &mut State, shared: &Shared, mut numbered: Numbered) {
        let Some(talk) = &mut state.talk else { return };
        let position = numbered.position.clone();
        let thread_id = &position.stream.thread_id;
        let kind = numbered.envelope.message.kind();
        let observer = self.observer(shared);
        let now = shared.clock.instant();
        for Socket { wire, outbox } in state.sockets.as_slice() {
            if wire.has(kind) && talk.is_level(outbox, thread_id) {
                let frame = numbered.frame(*wire).clone();
                let delivery = Delivery { frame, position: Some(position.clone()) };
                self.push(shared, outbox, delivery, now);
            }
        }
        if let Some(thread) = talk.threads.get_mut(thread_id) {
            if kind.is_terminal()
                && let Some(run_id) = &numbered.envelope.run_id
            {
                thread.seen_to_end(run_id);
            }
            thread.committed();
        }
        observer.event(kind, state.sockets.as_slice().len());
    }
}

/// Whether nothing of its run comes after it.
pub(super) fn is_terminal(message: &ServerMessage) -> bool {
    message.kind().is_terminal()
}
