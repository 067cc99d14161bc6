//! A socket that asks questions and follows their events.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use anyhow::{Context as _, bail, ensure};
use portcullis_frame::{Frame, Message};
use serde_json::{Value, json};

use crate::peer::{Dial, Peer};

/// One connection behind its greeting.
pub(super) struct Socket {
    peer: Peer,
    asked: u64,
    /// Tells this socket's messages from those of all others.
    mark: u32,
}

impl Socket {
    pub(super) fn open(dial: &Dial<'_>) -> anyhow::Result<Self> {
        let mut peer = Peer::connect(dial)?;
        peer.established(false)?;
        let mark = RandomState::new().build_hasher().finish() as u32;
        let mut socket = Self { peer, asked: 0, mark };
        let greeting = socket.next()?;
        ensure!(greeting["type"] == "connection_established", "another greeting: {greeting}");
        Ok(socket)
    }

    /// Asks, and reads until the run has ended. Gives the last event.
    pub(super) fn ask(&mut self, thread: &str, question: &str) -> anyhow::Result<Value> {
        self.put(thread, question)?;
        self.answer()
    }

    /// Asks, and waits for nothing.
    pub(super) fn put(&mut self, thread: &str, question: &str) -> anyhow::Result<()> {
        self.asked += 1;
        // The record remembers ids beyond the server's end, and answers a known one without a run.
        let id = format!("{:08x}-{}", self.mark, self.asked);
        let message = json!({
            "type": "user_message",
            "id": id,
            "thread_id": thread,
            "payload": { "content": question },
        });
        self.send(&message.to_string())
    }

    /// Reads until a run has ended. Gives the last event.
    pub(super) fn answer(&mut self) -> anyhow::Result<Value> {
        let mut last = String::new();
        loop {
            let event = self.next().with_context(|| format!("nothing after `{last}`"))?;
            event["type"].as_str().unwrap_or_default().clone_into(&mut last);
            match event["type"].as_str() {
                Some("agent_completed") => return Ok(event),
                Some("agent_failed" | "error") => bail!("no answer: {event}"),
                _ => {}
            }
        }
    }

    /// Reads until event `last` of a thread is there, and counts the thread's events.
    pub(super) fn events_until(&mut self, thread: &str, last: u64) -> anyhow::Result<u64> {
        let mut count = 0;
        loop {
            let event = self.next()?;
            ensure!(event["type"] != "error", "no event: {event}");
            if event["thread_id"] != thread {
                continue;
            }
            if let Some(seq) = event["seq"].as_u64() {
                count += 1;
                if seq >= last {
                    return Ok(count);
                }
            }
        }
    }

    /// Reads until the last event of each of these threads is there.
    pub(super) fn until_all(&mut self, mut ends: HashMap<String, u64>) -> anyhow::Result<()> {
        while !ends.is_empty() {
            let event = self.next()?;
            ensure!(event["type"] != "error", "no event: {event}");
            if let (Some(thread), Some(seq)) = (event["thread_id"].as_str(), event["seq"].as_u64())
                && ends.get(thread).is_some_and(|last| seq >= *last)
            {
                ends.remove(thread);
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let frame = Frame::text(text).masked([0x12, 0x34, 0x56, 0x78]).to_vec();
        self.peer.send(&frame)
    }

    /// Bytes that came, the handshake included.
    pub(super) const fn received(&self) -> usize {
        self.peer.received()
    }

    /// Whether the server has ended the connection, however much of what it sent is unread.
    pub(super) fn was_ended(&self) -> bool {
        self.peer.was_ended()
    }

    /// The next message.
    fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            match self.peer.message().context("no message")? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(body) => bail!("the server closed: {body:?}"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }
}
