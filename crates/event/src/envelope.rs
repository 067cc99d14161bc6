//! The envelope around a server message, written in one pass.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Epoch, EventId, MessageType, Position, RunId, ServerMessage, ThreadId, Timestamp, Wire, server::Payload,
};

/// A server message on its way: what it says, and where and when it belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Names this message.
    pub id: EventId,
    /// Its place in the thread's stream; control messages have none.
    pub position: Option<Position>,
    /// The thread that it is about.
    pub thread_id: Option<ThreadId>,
    /// The run that it is about.
    pub run_id: Option<RunId>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What it says.
    pub message: ServerMessage,
}

impl Envelope {
    /// An event of a run, at its place in the thread's stream.
    pub fn event(
        id: EventId,
        position: Position,
        thread_id: ThreadId,
        run_id: RunId,
        timestamp: Timestamp,
        message: impl Into<ServerMessage>,
    ) -> Self {
        Self {
            id,
            position: Some(position),
            thread_id: Some(thread_id),
            run_id: Some(run_id),
            timestamp,
            message: message.into(),
        }
    }

    /// A message to one connection, outside every stream. `message_accepted` names its thread and run in the
    /// envelope as well.
    pub fn control(id: EventId, timestamp: Timestamp, message: impl Into<ServerMessage>) -> Self {
        let message = message.into();
        let (thread_id, run_id) = match &message {
            ServerMessage::MessageAccepted(accepted) => {
                (Some(accepted.thread_id.clone()), Some(accepted.run_id.clone()))
            }
            ServerMessage::ResumeGap(gap) => (Some(gap.thread_id.clone()), None),
            _ => (None, None),
        };
        Self { id, position: None, thread_id, run_id, timestamp, message }
    }

    /// The text of a connection that speaks `format`.
    pub fn encode(&self, wire: Wire) -> Bytes {
        let mut out = Vec::with_capacity(512);
        self.write(wire, &mut out);
        Bytes::from(out)
    }

    /// Appends the text of a connection that speaks `format`. Absent members are left out.
    ///
    /// v1: `{"type","id","epoch","seq","thread_id","run_id","timestamp","payload"}`, in this order.
    ///
    /// Older clients: `{"type","data","thread_id","run_id","timestamp"}`. `thread_id` and `run_id` are kept beside what those
    /// clients know: without them nobody could continue a thread or cancel a run. There is no `id`, `epoch` or `seq`,
    /// because the mode does not resume.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) {
        // The members are the same in every message, so their names are written as they stand: serde_json would look at
        // each byte of them for something to escape, in every handshake and event.
        put(out, &["{\"type\":\"", self.message.kind().as_str(), "\""]);
        match wire {
            Wire::V1 => {
                put_text(out, ",\"id\":", self.id.as_str());
                if let Some(Position { epoch, seq }) = &self.position {
                    put_text(out, ",\"epoch\":", epoch.as_str());
                    put(out, &[",\"seq\":", itoa::Buffer::new().format(*seq)]);
                }
            }
            Wire::Legacy => self.put_payload(out, ",\"data\":"),
        }
        if let Some(thread_id) = &self.thread_id {
            put_text(out, ",\"thread_id\":", thread_id.as_str());
        }
        if let Some(run_id) = &self.run_id {
            put_text(out, ",\"run_id\":", run_id.as_str());
        }
        put(out, &[",\"timestamp\":\""]);
        out.extend_from_slice(&self.timestamp.write());
        put(out, &["\""]);
        if wire == Wire::V1 {
            self.put_payload(out, ",\"payload\":");
        }
        put(out, &["}"]);
    }

    fn put_payload(&self, out: &mut Vec<u8>, name: &str) {
        put(out, &[name]);
        serde_json::to_writer(out, &Payload(&self.message))
            .expect("messages are plain data with string keys");
    }

    /// Reads a v1 text, for the client's role: tester, bench and tests.
    ///
    /// # Errors
    /// [`ParseError::UnknownType`] for a type that this version does not know, which a client ignores; otherwise
    /// [`ParseError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let members: Members<'_> = serde_json::from_str(text)?;
        let kind = MessageType::from_name(&members.r#type).ok_or(ParseError::UnknownType)?;
        let position = match (members.epoch, members.seq) {
            (Some(epoch), Some(seq)) => Some(Position { epoch, seq }),
            (None, None) => None,
            _ => return Err(ParseError::Malformed(serde::de::Error::custom("epoch and seq go together"))),
        };
        Ok(Self {
            id: members.id,
            position,
            thread_id: members.thread_id,
            run_id: members.run_id,
            timestamp: members.timestamp,
            message: ServerMessage::read(kind, members.payload.get())?,
        })
    }
}

/// A text is not a v1 envelope that this version knows.
#[derive(Debug)]
pub enum ParseError {
    /// The type is not known here; a client ignores the message.
    UnknownType,
    /// The text is not an envelope, or the payload does not fit its type.
    Malformed(serde_json::Error),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType => f.write_str("the message's type is not known"),
            Self::Malformed(_) => f.write_str("the message is malformed"),
        }
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownType => None,
            Self::Malformed(error) => Some(error),
        }
    }
}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error)
    }
}

fn put(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends a member whose value is an identifier: visible ASCII, of which JSON escapes two characters (RFC 8259 §7).
fn put_text(out: &mut Vec<u8>, name: &str, id: &str) {
    put(out, &[name]);
    if id.bytes().any(|byte| matches!(byte, b'"' | b'\\')) {
        serde_json::to_writer(out, id).expect("a text is JSON");
    } else {
        put(out, &["\"", id, "\""]);
    }
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    r#type: std::borrow::Cow<'a, str>,
    id: EventId,
    epoch: Option<Epoch>,
    seq: Option<u64>,
    thread_id: Option<ThreadId>,
    run_id: Option<RunId>,
    timestamp: Timestamp,
    #[serde(borrow)]
    payload: &'a RawValue,
}
