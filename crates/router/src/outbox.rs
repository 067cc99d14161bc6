//! The bounded queue between the router and one connection.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    task::{Context, Poll, Waker},
    time::Instant,
};

use parking_lot::Mutex;
use portcullis_reason::Reason;

use crate::Delivery;

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
    queue: Vec<Delivery>,
    /// When the oldest frame of the queue was put there; of no meaning while it is empty.
    since: Option<Instant>,
    /// Half the width of a `usize`, since every idle connection has them.
    bytes: u32,
    limit: u32,
    /// Whether more of what the client missed is to be had once this is taken.
    behind: bool,
    /// Whether runs would end with this connection.
    carries_runs: bool,
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
    /// All is taken, and more of what the client missed is to be had: [`Attachment::catch_up`](crate::Attachment::catch_up)
    /// queues it.
    Behind,
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
                behind: false,
                carries_runs: false,
                drain: None,
                end: None,
                waker: None,
            }),
        }
    }

    /// Queues one frame. Returns false, and marks the connection as a slow consumer, when it does not fit; after the
    /// first frame that did not fit nothing is queued any more, so that the stream has no hole.
    pub fn push(&self, delivery: impl Into<Delivery>, now: Instant) -> bool {
        let delivery = delivery.into();
        let (queued, waker) = {
            let mut state = self.state.lock();
            let bytes = state.with(delivery.frame.len()).filter(|_| state.end.is_none());
            if let Some(bytes) = bytes {
                state.since.get_or_insert(now);
                state.bytes = bytes;
                state.queue.push(delivery);
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

    /// Queues a piece of what a client missed: what `next` gives, as far as there is room for a piece. `next` is told how
    /// many bytes still fit, and gives none for a frame that is larger, or at the end. An empty queue has room for one frame
    /// of any size. Says whether something was queued.
    pub(crate) fn refill(&self, now: Instant, mut next: impl FnMut(usize) -> Option<Delivery>) -> bool {
        let mut queued = false;
        self.change(|state| {
            let mut room = state.room();
            while state.end.is_none()
                && let Some(delivery) = next(if state.queue.is_empty() { usize::MAX } else { room })
            {
                let size = delivery.frame.len();
                room = room.saturating_sub(size);
                state.bytes = state.bytes.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
                state.since.get_or_insert(now);
                state.queue.push(delivery);
                queued = true;
            }
        });
        queued
    }

    /// Whether a frame did not fit.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.state.lock().end == Some(Reason::SlowConsumer)
    }

    /// Bytes of what the client missed that may be queued now. Where nothing waits there is room for a frame of any size.
    pub(crate) fn room(&self) -> usize {
        let state = self.state.lock();
        if state.queue.is_empty() { state.room().max(1) } else { state.room() }
    }

    /// Has the owner told, once all is taken, that there is more of what the client missed.
    pub(crate) fn set_behind(&self) {
        self.change(|state| state.behind = true);
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

    pub(crate) fn set_carries_runs(&self, carries: bool) {
        self.state.lock().carries_runs = carries;
    }

    /// Whether runs that wait or go on would end with this connection: so in the mode `isolated`.
    pub fn carries_runs(&self) -> bool {
        self.state.lock().carries_runs
    }

    /// Whether a good part of the queue waits: its reader is slower than what is said.
    pub fn is_pressed(&self) -> bool {
        let state = self.state.lock();
        state.bytes > state.limit / 4
    }

    /// Whether there is nothing to take.
    pub fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.drain.is_none() && state.end.is_none() && !state.behind
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
    pub fn poll_take(&self, context: &Context<'_>, frames: &mut VecDeque<Delivery>) -> Poll<Outgoing> {
        let mut state = self.state.lock();
        if !state.queue.is_empty() {
            state.bytes = 0;
            let since = state.since.take().expect("a queue that holds something has an age");
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
        if std::mem::take(&mut state.behind) {
            return Poll::Ready(Outgoing::Behind);
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

    /// Bytes of a piece of what a client missed: enough to be worth a write, and half of the queue at most, so that what
    /// happens meanwhile has room as well.
    fn room(&self) -> usize {
        (PIECE.min(self.limit / 2) as usize).saturating_sub(self.bytes as usize)
    }

    fn remember(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }
}

/// Bytes of what a client missed that wait for it at once.
const PIECE: u32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use portcullis_units::Clock;

    use super::*;

    fn now() -> Instant {
        Clock::system().instant()
    }

    fn take(outbox: &Outbox) -> (Option<Outgoing>, Vec<Bytes>) {
        let mut frames = VecDeque::new();
        let outcome = match outbox.poll_take(&Context::from_waker(Waker::noop()), &mut frames) {
            Poll::Ready(outgoing) => Some(outgoing),
            Poll::Pending => None,
        };
        (outcome, frames.into_iter().map(|delivery: Delivery| delivery.frame).collect())
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
        assert!(outbox.push(Bytes::from_static(b"a"), now()) && outbox.push(Bytes::from_static(b"b"), now()));
        assert_eq!(outbox.queued_bytes(), 2);
        assert_eq!(frames(&outbox), ["a", "b"]);
        assert_eq!(outbox.queued_bytes(), 0);
        assert_eq!(take(&outbox), (None, vec![]));
    }

    #[test]
    fn a_batch_is_as_old_as_its_first_frame() {
        let outbox = Outbox::new(100);
        let before = now();
        outbox.push(Bytes::from_static(b"a"), before);
        let between = now();
        outbox.push(Bytes::from_static(b"b"), between);
        let (Some(Outgoing::Frames { since }), _) = take(&outbox) else { panic!("no frames") };
        assert!((before..=between).contains(&since));
        outbox.push(Bytes::from_static(b"c"), now());
        let (Some(Outgoing::Frames { since: next }), _) = take(&outbox) else { panic!("no frames") };
        assert!(next >= between, "the second batch has its own age");
    }

    #[test]
    fn a_frame_over_the_limit_ends_the_connection_and_leaves_no_hole() {
        let outbox = Outbox::new(3);
        assert!(outbox.push(Bytes::from_static(b"ab"), now()));
        assert!(!outbox.push(Bytes::from_static(b"cd"), now()));
        assert!(
            !outbox.push(Bytes::from_static(b"e"), now()),
            "a smaller frame must not overtake the lost one"
        );
        assert_eq!(frames(&outbox), ["ab"]);
        assert_eq!(take(&outbox).0, Some(Outgoing::End(Reason::SlowConsumer)));
    }

    /// Gives the frames of a list one by one, as far as they fit.
    fn refill(outbox: &Outbox, missed: &mut VecDeque<&'static str>) -> bool {
        outbox.refill(now(), |room| {
            let fits = missed.front().is_some_and(|frame| frame.len() <= room);
            fits.then(|| missed.pop_front()).flatten().map(|frame| Bytes::from(frame).into())
        })
    }

    #[test]
    fn what_was_missed_comes_in_pieces_and_leaves_room_for_what_happens() {
        let outbox = Outbox::new(8);
        let mut missed = VecDeque::from(["ab", "cd", "efghi", "j"]);
        assert!(refill(&outbox, &mut missed));
        outbox.set_behind();
        assert_eq!(outbox.queued_bytes(), 4);
        assert!(outbox.push(Bytes::from_static(b"new"), now()), "half of the queue is free");
        assert!(!refill(&outbox, &mut missed), "no room while it is not read");
        assert_eq!(frames(&outbox), ["ab", "cd", "new"]);
        assert_eq!(take(&outbox).0, Some(Outgoing::Behind));
        assert!(refill(&outbox, &mut missed), "a frame longer than a piece goes alone");
        assert_eq!(frames(&outbox), ["efghi"]);
        assert!(refill(&outbox, &mut missed));
        assert!(!refill(&outbox, &mut missed), "there is no more");
        assert_eq!(frames(&outbox), ["j"]);
        assert_eq!(take(&outbox).0, None);
    }

    #[test]
    fn who_is_too_slow_gets_nothing_more_of_what_was_missed() {
        let outbox = Outbox::new(3);
        outbox.set_behind();
        assert!(!outbox.push(Bytes::from_static(b"abcd"), now()));
        assert!(!refill(&outbox, &mut VecDeque::from(["e"])), "it would stand behind a hole");
        assert_eq!(take(&outbox).0, Some(Outgoing::End(Reason::SlowConsumer)));
    }

    #[test]
    fn the_first_end_stays_and_comes_after_what_was_queued() {
        let outbox = Outbox::new(100);
        outbox.push(Bytes::from_static(b"last"), now());
        outbox.end(Reason::Draining);
        outbox.end(Reason::Internal);
        assert_eq!(frames(&outbox), ["last"]);
        assert_eq!(take(&outbox).0, Some(Outgoing::End(Reason::Draining)));
    }
}
