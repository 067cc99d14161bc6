//! The frames of one live connection: messages in, control frames out, and the close.

use std::{borrow::Cow, collections::VecDeque, time::Instant};

use bytes::Bytes;
use portcullis_frame::{Decoder, Frame, Message, Role, WireCode};
use portcullis_reason::{Reason, Rejection};

use crate::Options;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'c> {
    /// A text message.
    Text(Cow<'c, str>),
    /// A binary message; only where [`Options::binary`] is set.
    Binary(Cow<'c, [u8]>),
    /// A message came faster than the rate allows and was dropped: tell the client.
    TooFast,
}

/// What a client spends by what it sends. The driver knows how much of it the user has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// A message.
    Message,
    /// A ping, or a pong that nobody asked for.
    Control,
}

/// A control frame to send.
#[derive(Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Ahead of the data that waits, but not inside a frame that is half written.
    Soon(Bytes),
    /// After the data that waits, and the last thing that is sent.
    Last {
        /// The close frame.
        frame: Bytes,
        /// Its code; none for an empty one, which answers an empty one.
        code: Option<u16>,
    },
}

/// What is read, and what is to be sent besides data. It is part of what an idle connection costs, so what is rarely needed
/// lies on the heap.
#[derive(Debug)]
pub(crate) struct Frames {
    decoder: Decoder,
    state: State,
    /// Messages and control frames in a row that came too fast.
    dropped: u32,
    /// Answers to pings that were not handed out yet, at most [`MOST_PONGS`].
    pongs: Option<Box<Pongs>>,
    ping_due: bool,
    /// A ping was sent, and its pong may come.
    pinged: bool,
    peer_closed: bool,
}

/// Answers to pings, in order.
#[derive(Debug, Default)]
struct Pongs(VecDeque<Bytes>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A close frame waits to be sent: for this reason, or in answer to the peer's.
    Ending(End),
    /// Our close was handed out; the peer's answer is awaited until then.
    Awaiting(Instant),
    /// Both closes went by, or the peer does not deserve more patience: flush and drop.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ours(Reason),
    Theirs(Option<WireCode>),
}

impl Frames {
    /// Frames of a connection that begins now.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            decoder: Decoder::new(Role::Server, options.limits),
            state: State::Open,
            dropped: 0,
            pongs: None,
            ping_due: false,
            pinged: false,
            peer_closed: false,
        }
    }

    /// Reads on in `input` until a message is complete; none when all of it is used up.
    #[expect(clippy::mut_mut, reason = "the caller's view of its chunk moves on, as in `Decoder::decode`")]
    pub(crate) fn receive<'c>(
        &mut self,
        options: &Options,
        input: &mut &'c mut [u8],
        mut spend: impl FnMut(Spent) -> bool,
    ) -> Option<Received<'c>> {
        loop {
            let message = match self.decoder.decode(input) {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                Err(error) => {
                    self.fail(error.reason());
                    return None;
                }
            };
            match message {
                Message::Ping(payload) => {
                    if self.spend(options, Spent::Control, &mut spend) {
                        self.answer(&payload);
                    }
                }
                // The answer to our ping is free, and a silent peer must not have to save up for it.
                Message::Pong(_) if std::mem::take(&mut self.pinged) => {}
                Message::Pong(_) => drop(self.spend(options, Spent::Control, &mut spend)),
                Message::Close(close) => {
                    self.handle_close(close.map(|close| close.code));
                    return None;
                }
                _ if self.state != State::Open => {}
                Message::Binary(_) if !options.binary => self.end(Reason::UnsupportedData),
                Message::Text(_) | Message::Binary(_) if !self.spend(options, Spent::Message, &mut spend) => {
                    if self.state == State::Open {
                        return Some(Received::TooFast);
                    }
                }
                Message::Text(text) => return Some(Received::Text(text)),
                Message::Binary(bytes) => return Some(Received::Binary(bytes)),
            }
        }
    }

    /// Sends a ping.
    pub(crate) const fn ping(&mut self) {
        self.ping_due = true;
    }

    /// Ends the connection with a close frame for `reason`, after the data that waits. The first reason given stays.
    pub(crate) fn end(&mut self, reason: Reason) {
        if self.state == State::Open {
            self.state = State::Ending(End::Ours(reason));
        }
    }

    /// Whether data may still be sent and received.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the socket can be dropped once everything handed out is written.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the peer sent its close, so that it waits for nothing but the end of the connection.
    pub(crate) const fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Why the connection is ending, where it was our decision and the close frame is not out yet.
    pub(crate) const fn ending_for(&self) -> Option<Reason> {
        match self.state {
            State::Ending(End::Ours(reason)) => Some(reason),
            _ => None,
        }
    }

    /// The next control frame to send, if any. Ask until there is none.
    pub(crate) fn poll_transmit(
        &mut self,
        options: &Options,
        now: impl FnOnce() -> Instant,
    ) -> Option<Transmit> {
        // Nothing follows our close, not even a pong.
        let may_speak = matches!(self.state, State::Open | State::Ending(_));
        if may_speak && let Some(pongs) = &mut self.pongs {
            if let Some(pong) = pongs.0.pop_front() {
                return Some(Transmit::Soon(pong));
            }
            self.pongs = None;
        }
        if std::mem::take(&mut self.ping_due) && self.state == State::Open {
            self.pinged = true;
            return Some(Transmit::Soon(Frame::ping(&[]).to_bytes()));
        }
        let State::Ending(end) = self.state else { return None };
        let code = match end {
            End::Ours(reason) => {
                self.state = if waits_for_answer(reason) && !self.peer_closed {
                    State::Awaiting(now() + options.close_timeout)
                } else {
                    State::Over
                };
                let code = WireCode::of(reason, options.close_profile).unwrap_or(WireCode::NORMAL);
                return Some(Transmit::Last { frame: close_frame(code, reason), code: Some(code.get()) });
            }
            End::Theirs(code) => code,
        };
        self.state = State::Over;
        let frame =
            code.map_or_else(|| Frame::empty_close().to_bytes(), |code| Frame::close(code, "").to_bytes());
        Some(Transmit::Last { frame, code: code.map(WireCode::get) })
    }

    /// Until when the peer's answer to our close is awaited, while it is.
    pub(crate) const fn awaited(&self) -> Option<Instant> {
        match self.state {
            State::Awaiting(until) => Some(until),
            _ => None,
        }
    }

    /// The peer's answer to our close has been awaited for long enough.
    pub(crate) const fn give_up(&mut self) {
        self.state = State::Over;
    }

    /// Answers every ping, in order. Of more than come in one read only the latest are: more is not asked for, and each
    /// answer takes memory (RFC 6455 §5.5.3).
    fn answer(&mut self, ping: &[u8]) {
        let Pongs(pongs) = &mut **self.pongs.get_or_insert_default();
        if pongs.len() == MOST_PONGS {
            pongs.pop_front();
        }
        pongs.push_back(Frame::pong(ping).to_bytes());
    }

    fn handle_close(&mut self, code: Option<WireCode>) {
        self.peer_closed = true;
        match self.state {
            State::Open => self.state = State::Ending(End::Theirs(code)),
            // Ours was sent, so theirs is the answer (RFC 6455 §7.1.1).
            State::Awaiting(_) => self.state = State::Over,
            State::Ending(_) | State::Over => {}
        }
    }

    /// The peer broke the rules: say so, and drop the connection without waiting for an answer.
    fn fail(&mut self, reason: Reason) {
        match self.state {
            State::Open => self.state = State::Ending(End::Ours(reason)),
            State::Awaiting(_) => self.state = State::Over,
            State::Ending(_) | State::Over => {}
        }
    }

    /// Spends what the user has; false when nothing of it is left.
    fn spend(&mut self, options: &Options, what: Spent, spend: &mut impl FnMut(Spent) -> bool) -> bool {
        let Some(rates) = &options.rates else { return true };
        if spend(what) {
            self.dropped = 0;
            return true;
        }
        let rate = match what {
            Spent::Message => &rates.messages,
            Spent::Control => &rates.controls,
        };
        // Told once for each message at first; a client that goes on for another burst does not listen.
        self.dropped += 1;
        if self.dropped > rate.burst().get() {
            self.end(Reason::RateLimited);
        }
        false
    }
}

/// Pings in one read that are answered each.
pub(crate) const MOST_PONGS: usize = 64;

/// A peer that is gone, does not read or breaks the framing has no answer worth waiting for.
const fn waits_for_answer(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::HeartbeatTimeout
            | Reason::SlowConsumer
            | Reason::ProtocolError
            | Reason::InvalidPayload
            | Reason::MessageTooBig
    )
}

/// A close frame for `rejection`; none where its reason has no close code.
pub(crate) fn refusal(options: &Options, rejection: &Rejection) -> Option<Bytes> {
    WireCode::of(rejection.reason, options.close_profile).map(|code| close_frame(code, rejection.reason))
}

/// A close frame whose text begins with the identifier and fits (RFC 6455 §5.5).
fn close_frame(code: WireCode, reason: Reason) -> Bytes {
    let reason = reason.shown_as();
    Frame::close(code, &format!("{}: {}", reason.id(), reason.title())).to_bytes()
}
