//! What is on its way to one connection.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_event::{Epoch, ThreadId};

/// A message on its way to a connection: a whole frame as its wire has it, and for an event its place in its thread's stream.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The frame; its memory is shared by all connections of the wire.
    pub frame: Bytes,
    /// Where an event stands; none for a control message.
    pub position: Option<StreamPosition>,
}

/// An event's place in a thread's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// The stream.
    pub stream: Arc<StreamName>,
    /// The event's number.
    pub seq: u64,
}

/// A thread's stream in one of its lives.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamName {
    /// The thread.
    pub thread_id: ThreadId,
    /// The life.
    pub epoch: Epoch,
}

impl From<Bytes> for Delivery {
    /// A control message's frame.
    fn from(frame: Bytes) -> Self {
        Self { frame, position: None }
    }
}
