//! The bounded queue between the router and one connection.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_reason::Reason;

/// Frames on their way to one connection, bounded in bytes.
///
/// Producers are the router's runs, which never wait: a full queue marks the connection as a slow consumer, and its
/// owner ends it with [`Reason::SlowConsumer`]. Frames are shared bytes, so what waits here costs its memory once
/// however many connections it waits for. An empty queue holds no heap memory.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Vec<Bytes>,
    /// When the oldest frame of the queue was put there; of no meaning while it is empty.
    since: Option<Instant>,
    /// Half the width of a `usize`, since every idle connection has them.
    bytes: u32,
    limit: u32,
    /// Whether a replay waits that the bytes do not count.
    replaying: bool,
    /// When to come back, in milliseconds, while it has not been told.
    drain: Option<NonZeroU32>,
    end: Option<Reason>,
    waker: Option<Waker>,
}

/// What a connection finds in its outbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Frames were moved to the caller's buffer.
    Frames {
        /// When the oldest of them was queued.
        since: Instant,
    },
    /// The server is stopping: tell the client to come back after so many milliseconds.
    Drain(u32),
    /// The connection shall end for this reason, after what was queued before.
    End(Reason),
}

impl Outbox {
    /// An empty queue for at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                queue: Vec::new(),
                since: None,
                bytes: 0,
                limit: if limit > u32::MAX as usize { u32::MAX } else { limit as u32 },
                replaying: false,
                drain: None,
                end: None,
                waker: None,
            }),
        }
    }

    /// Queues one frame. Returns false, and marks the connection as a slow consumer, when it does not fit; after the
    /// first frame that did not fit nothing is queued any more, so that the stream has no hole.
    pub fn push(&self, frame: Bytes) -> bool {
        let (queued, waker) = {
            let mut state = self.state.lock();
            let bytes = state.with(frame.len()).filter(|_| state.end.is_none());
            if let Some(bytes) = bytes {
                state.since.get_or_insert_with(Instant::now);
                state.bytes = bytes;
                state.queue.push(frame);
            } else if state.end.is_none() {
                state.end = Some(Reason::SlowConsumer);
            }
            (bytes.is_some(), state.waker.take())
        };
        // Outside the lock, so that whoever is woken finds it free.
        if let Some(waker) = waker {
            waker.wake();
        }
        queued
    }

    /// Queues all that a client missed, in one step. The first that waits does not count towards the limit: what is kept
    /// of a user's threads may be more than one queue holds, and a client that was too slow could otherwise never catch
    /// up. The frames are shared with what is kept, so they cost little here; a second one on top of it counts.
    pub fn replay(&self, frames: impl IntoIterator<Item = Bytes>) -> bool {
        let frames: Vec<Bytes> = frames.into_iter().collect();
        let size: usize = frames.iter().map(Bytes::len).sum();
        let mut queued = true;
        self.change(|state| {
            let bytes = if state.replaying { state.with(size) } else { Some(state.bytes) };
            let Some(bytes) = bytes.filter(|_| state.end.is_none()) else {
                queued = false;
                state.end.get_or_insert(Reason::SlowConsumer);
                return;
            };
            state.bytes = bytes;
            if !frames.is_empty() {
                state.replaying = true;
                state.since.get_or_insert_with(Instant::now);
                state.queue.extend(frames);
            }
        });
        queued
    }

    /// Has the client told that the server is stopping, and when to come back.
    pub fn drain(&self, reconnect_after_ms: u32) {
        self.change(|state| state.drain = NonZeroU32::new(reconnect_after_ms.max(1)));
    }

    /// Ends the connection after the frames that are queued already. The first reason given stays.
    pub fn end(&self, reason: Reason) {
        self.change(|state| {
            state.end.get_or_insert(reason);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state.lock();
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> usize {
        self.state.lock().bytes as usize
    }

    /// Whether there is nothing to take.
    pub fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.drain.is_none() && state.end.is_none()
    }

    /// Ready when a frame did not fit; until then the caller is remembered as who to wake. For a connection that has
    /// still to write what it took, and must not wait for that to hear that it is too slow.
    pub fn poll_overflow(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.end == Some(Reason::SlowConsumer) {
            return Poll::Ready(());
        }
        state.remember(context);
        Poll::Pending
    }

    /// Moves all that waits to the end of `frames`, or says that the connection shall end, or remembers who to wake.
    pub fn poll_take(&self, context: &Context<'_>, frames: &mut VecDeque<Bytes>) -> Poll<Outgoing> {
        let mut state = self.state.lock();
        if !state.queue.is_empty() {
            state.bytes = 0;
            state.replaying = false;
            let since = state.since.take().unwrap_or_else(Instant::now);
            if frames.is_empty() {
                // Whole buffers change hands, and the emptied one is freed: idle connections keep none.
                *frames = std::mem::take(&mut state.queue).into();
            } else {
                frames.extend(std::mem::take(&mut state.queue));
            }
            return Poll::Ready(Outgoing::Frames { since });
        }
        if let Some(reconnect_after_ms) = state.drain.take() {
            return Poll::Ready(Outgoing::Drain(reconnect_after_ms.get()));
        }
        if let Some(reason) = state.end {
            return Poll::Ready(Outgoing::End(reason));
        }
        state.remember(context);
        Poll::Pending
    }
}

impl State {
    /// What would wait with `size` bytes more, if that is within the limit.
    fn with(&self, size: usize) -> Option<u32> {
        let bytes = self.bytes.checked_add(u32::try_from(size).ok()?)?;
        (bytes <= self.limit).then_some(bytes)
    }

    fn remember(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbox: &Outbox) -> (Option<Outgoing>, Vec<Bytes>) {
        let mut frames = VecDeque::new();
        let outcome = match outbox.poll_take(&Context::from_waker(Waker::noop()), &mut frames) {
            Poll::Ready(outgoing) => Some(outgoing),
            Poll::Pending => None,
        };
        (outcome, frames.into())
    }

    /// The frames, where there are some.
    fn frames(outbox: &Outbox) -> Vec<Bytes> {
        let (outcome, frames) = take(outbox);
        assert!(matches!(outcome, Some(Outgoing::Frames { .. })), "{outcome:?}");
        frames
    }

    #[test]
    fn frames_come_in_order_and_then_nothing() {
        let outbox = Outbox::new(100);
        assert!(outbox.push(Bytes::from_static(b"a")) && outbox.push(Bytes::from_static(b"b")));
        assert_eq!(outbox.queued_bytes(), 2);
        assert_eq!(frames(&outbox), ["a", "b"]);
        assert_eq!(outbox.queued_bytes(), 0);
        assert_eq!(take(&outbox), (None, vec![]));
    }

    #[test]
    fn a_batch_is_as_old_as_its_first_frame() {
        let outbox = Outbox::new(100);
        let before = Instant::now();
        outbox.push(Bytes::from_static(b"a"));
        let between = Instant::now();
        outbox.push(Bytes::from_static(b"b"));
        let (Some(Outgoing::Frames { since }), _) = take(&outbox) else { panic!("no frames") };
        assert!((before..=between).contains(&since));
        outbox.push(Bytes::from_static(b"c"));
        let (Some(Outgoing::Frames { since: next }), _) = take(&outbox) else { panic!("no frames") };
        assert!(next >= between, "the second batch has its own age");
    }

    #[test]
    fn a_frame_over_the_limit_ends_the_connection_and_leaves_no_hole() {
        let outbox = Outbox::new(3);
        assert!(outbox.push(Bytes::from_static(b"ab")));
        assert!(!outbox.push(Bytes::from_static(b"cd")));
        assert!(!outbox.push(Bytes::from_static(b"e")), "a smaller frame must not overtake the lost one");
        assert_eq!(frames(&outbox), ["ab"]);
        assert_eq!(take(&outbox).0, Some(Outgoing::End(Reason::SlowConsumer)));
    }

    #[test]
    fn a_replay_may_be_longer_than_the_queue_but_only_one() {
        let outbox = Outbox::new(3);
        let missed = || ["abc", "def"].map(Bytes::from);
        assert!(outbox.replay(missed()));
        assert!(outbox.push(Bytes::from_static(b"new")), "what comes after it has the queue's room");
        assert_eq!(frames(&outbox), ["abc", "def", "new"]);
        assert!(outbox.replay(missed()), "the next one, once the first is taken");
        assert!(outbox.replay([]), "nothing to catch up with");
        assert!(!outbox.replay(missed()), "a second one on top of it");
        assert_eq!(frames(&outbox), ["abc", "def"]);
        assert_eq!(take(&outbox).0, Some(Outgoing::End(Reason::SlowConsumer)));
    }

    #[test]
    fn the_first_end_stays_and_comes_after_what_was_queued() {
        let outbox = Outbox::new(100);
        outbox.push(Bytes::from_static(b"last"));
        outbox.end(Reason::Draining);
        outbox.end(Reason::Internal);
        assert_eq!(frames(&outbox), ["last"]);
        assert_eq!(take(&outbox).0, Some(Outgoing::End(Reason::Draining)));
    }
}
