//! The state of one live connection.

use std::{borrow::Cow, collections::VecDeque, time::Instant};

use bytes::Bytes;
use portcullis_frame::{Decoder, Frame, Message, Role, WireCode};
use portcullis_reason::{Reason, Rejection};
use portcullis_units::Gcra;

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

/// Something that the driver should tell the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The token ends soon.
    TokenExpiring,
}

/// The protocol state of one live connection, server side. It is part of what an idle connection costs, so what is rarely
/// needed lies on the heap.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    state: State,
    /// When the last byte came, or since when a ping waits for an answer.
    silent_since: Instant,
    /// Whether a ping waits for an answer.
    pinged: bool,
    /// When the client is to be told that its token ends, then when the connection does.
    warn_at: Option<Instant>,
    expires_at: Option<Instant>,
    /// Messages that may come.
    allowance: Gcra,
    /// Messages in a row that came too fast.
    dropped: u32,
    /// Answers to pings that were not handed out yet, at most [`MOST_PONGS`].
    pongs: Option<Box<Pongs>>,
    ping_due: bool,
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

impl Session {
    /// A session that begins now. `warn_at` and `expires_at` are the token's, as for [`Session::renew`].
    pub fn new(
        options: &Options,
        now: Instant,
        warn_at: Option<Instant>,
        expires_at: Option<Instant>,
    ) -> Self {
        Self {
            decoder: Decoder::new(Role::Server, options.limits),
            state: State::Open,
            silent_since: now,
            pinged: false,
            warn_at,
            expires_at,
            allowance: Gcra::default(),
            dropped: 0,
            pongs: None,
            ping_due: false,
            peer_closed: false,
        }
    }

    /// Takes over the times of a fresh token.
    pub const fn renew(&mut self, warn_at: Option<Instant>, expires_at: Option<Instant>) {
        self.warn_at = warn_at;
        self.expires_at = expires_at;
    }

    /// Reads on in `input`, which the driver just got from the socket, until a message is complete; none when all of
    /// it is used up. Control frames are dealt with on the way.
    ///
    /// Nothing is given out any more once the connection is ending (RFC 6455 §7.1.7, §5.5.1).
    #[expect(clippy::mut_mut, reason = "the caller's view of its chunk moves on, as in `Decoder::decode`")]
    pub fn receive<'c>(
        &mut self,
        options: &Options,
        now: Instant,
        input: &mut &'c mut [u8],
    ) -> Option<Received<'c>> {
        if !input.is_empty() {
            self.silent_since = now;
            self.pinged = false;
        }
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
                Message::Ping(payload) => self.answer(&payload),
                Message::Pong(_) => {}
                Message::Close(close) => {
                    self.handle_close(close.map(|close| close.code));
                    return None;
                }
                _ if self.state != State::Open => {}
                Message::Binary(_) if !options.binary => self.end(Reason::UnsupportedData),
                Message::Text(_) | Message::Binary(_) if !self.spend(options, now) => {
                    if self.state == State::Open {
                        return Some(Received::TooFast);
                    }
                }
                Message::Text(text) => return Some(Received::Text(text)),
                Message::Binary(bytes) => return Some(Received::Binary(bytes)),
            }
        }
    }

    /// Ends the connection with a close frame for `reason`, after the data that waits. The first reason given stays.
    pub fn end(&mut self, reason: Reason) {
        if self.state == State::Open {
            self.state = State::Ending(End::Ours(reason));
        }
    }

    /// Whether data may still be sent and received.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the socket can be dropped once everything handed out is written.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the peer sent its close, so that it waits for nothing but the end of the connection.
    pub const fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Why the connection is ending, where it was our decision and the close frame is not out yet.
    pub const fn ending_for(&self) -> Option<Reason> {
        match self.state {
            State::Ending(End::Ours(reason)) => Some(reason),
            _ => None,
        }
    }

    /// The next control frame to send, if any. Ask until there is none.
    pub fn poll_transmit(&mut self, options: &Options, now: Instant) -> Option<Transmit> {
        // Nothing follows our close, not even a pong.
        let may_speak = matches!(self.state, State::Open | State::Ending(_));
        if may_speak && let Some(pongs) = &mut self.pongs {
            if let Some(pong) = pongs.0.pop_front() {
                return Some(Transmit::Soon(pong));
            }
            self.pongs = None;
        }
        if std::mem::take(&mut self.ping_due) && self.state == State::Open {
            return Some(Transmit::Soon(Frame::ping(&[]).to_bytes()));
        }
        let State::Ending(end) = self.state else { return None };
        let code = match end {
            End::Ours(reason) => {
                self.state = if waits_for_answer(reason) && !self.peer_closed {
                    State::Awaiting(now + options.close_timeout)
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

    /// When [`Session::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self, options: &Options) -> Option<Instant> {
        match self.state {
            State::Open => {
                [self.warn_at, self.expires_at, Some(self.patience(options))].into_iter().flatten().min()
            }
            State::Awaiting(until) => Some(until),
            State::Ending(_) | State::Over => None,
        }
    }

    /// Does what is due at `now`, and says what the client should hear.
    pub fn handle_timeout(&mut self, options: &Options, now: Instant) -> Option<Notice> {
        match self.state {
            State::Awaiting(until) if now >= until => self.state = State::Over,
            State::Open => {
                if self.expires_at.is_some_and(|at| now >= at) {
                    self.end(Reason::TokenExpired);
                    return None;
                }
                if now >= self.patience(options) {
                    if self.pinged {
                        self.end(Reason::HeartbeatTimeout);
                        return None;
                    }
                    self.pinged = true;
                    self.ping_due = true;
                    self.silent_since = now;
                }
                if self.warn_at.take_if(|at| now >= *at).is_some() {
                    return Some(Notice::TokenExpiring);
                }
            }
            State::Awaiting(_) | State::Ending(_) | State::Over => {}
        }
        None
    }

    /// A close frame for `rejection`, for a handshake that is completed only to say why; none where its reason has no
    /// close code.
    pub fn refusal(options: &Options, rejection: &Rejection) -> Option<Bytes> {
        WireCode::of(rejection.reason, options.close_profile).map(|code| close_frame(code, rejection.reason))
    }

    /// When the peer's silence asks for a ping, or has lasted too long after one.
    fn patience(&self, options: &Options) -> Instant {
        let wait = if self.pinged { options.heartbeat_timeout } else { options.heartbeat_interval };
        self.silent_since + wait
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

    /// Spends the allowance of one message; false when there is none left.
    fn spend(&mut self, options: &Options, now: Instant) -> bool {
        let Some(rate) = &options.rate else { return true };
        if self.allowance.take(rate, now).is_ok() {
            self.dropped = 0;
            return true;
        }
        // Told once for each message at first; a client that goes on for another burst does not listen.
        self.dropped += 1;
        if self.dropped > rate.burst().get() {
            self.end(Reason::RateLimited);
        }
        false
    }
}

/// Pings in one read that are answered each.
const MOST_PONGS: usize = 64;

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

/// A close frame whose text begins with the identifier (design §4) and fits (RFC 6455 §5.5).
fn close_frame(code: WireCode, reason: Reason) -> Bytes {
    let reason = reason.shown_as();
    Frame::close(code, &format!("{}: {}", reason.id(), reason.title())).to_bytes()
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use portcullis_frame::Limits;
    use portcullis_reason::CloseProfile;
    use portcullis_units::{Clock, Rate};
    use proptest::prelude::*;

    use super::*;

    fn options() -> Options {
        Options {
            heartbeat_interval: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(20),
            limits: Limits { frame: 1024, message: 1024, fragments: 8 },
            rate: Some(Rate::per_second(NonZeroU32::new(2).unwrap(), NonZeroU32::new(3).unwrap())),
            binary: false,
            close_timeout: Duration::from_secs(5),
            close_profile: CloseProfile::Standard,
        }
    }

    struct Peer {
        session: Session,
        options: Options,
        now: Instant,
    }

    impl Peer {
        fn new() -> Self {
            let (options, now) = (options(), Clock::system().instant());
            Self { session: Session::new(&options, now, None, None), options, now }
        }

        /// Sends frames as a client, and gives what the session makes of them.
        fn send(&mut self, frames: &[Frame<'_>]) -> Vec<String> {
            let mut bytes = Vec::new();
            for frame in frames {
                frame.clone().masked([1, 2, 3, 4]).append_to(&mut bytes);
            }
            let mut input = &mut bytes[..];
            let mut received = Vec::new();
            while let Some(message) = self.session.receive(&self.options, self.now, &mut input) {
                received.push(match message {
                    Received::Text(text) => text.into_owned(),
                    Received::Binary(bytes) => format!("{bytes:?}"),
                    Received::TooFast => "too fast".to_owned(),
                });
            }
            received
        }

        fn transmit(&mut self) -> Vec<Transmit> {
            std::iter::from_fn(|| self.session.poll_transmit(&self.options, self.now)).collect()
        }

        fn close_code(&mut self) -> Option<u16> {
            self.transmit().into_iter().find_map(|transmit| match transmit {
                Transmit::Last { code, .. } => code,
                Transmit::Soon(_) => None,
            })
        }

        fn wait(&mut self, time: Duration) -> Option<Notice> {
            self.now += time;
            self.session.handle_timeout(&self.options, self.now)
        }
    }

    #[test]
    fn pings_are_answered_in_order_and_of_too_many_the_latest() {
        let mut peer = Peer::new();
        let pongs = |payloads: &[&[u8]]| {
            payloads
                .iter()
                .map(|&payload| Transmit::Soon(Frame::pong(payload).to_bytes()))
                .collect::<Vec<_>>()
        };
        assert_eq!(peer.send(&[Frame::ping(b"a"), Frame::text("x"), Frame::ping(b"b")]), ["x"]);
        assert_eq!(peer.transmit(), pongs(&[b"a", b"b"]));
        let flood: Vec<[u8; 2]> = (0..200_u16).map(u16::to_be_bytes).collect();
        let frames: Vec<_> = flood.iter().map(|payload| Frame::ping(payload)).collect();
        assert_eq!(peer.send(&frames), [""; 0]);
        let latest: Vec<&[u8]> = flood[200 - MOST_PONGS..].iter().map(|payload| &payload[..]).collect();
        assert_eq!(peer.transmit(), pongs(&latest));
    }

    #[test]
    fn a_close_is_answered_with_its_code_and_ends_everything() {
        let mut peer = Peer::new();
        let code = WireCode::new(3000).unwrap();
        assert_eq!(peer.send(&[Frame::close(code, "bye"), Frame::text("late")]), [""; 0]);
        assert_eq!(peer.close_code(), Some(3000));
        assert!(peer.session.is_over());
        assert_eq!(peer.send(&[Frame::text("later")]), [""; 0]);
    }

    #[test]
    fn an_empty_close_is_answered_by_an_empty_one() {
        let mut peer = Peer::new();
        peer.send(&[Frame::empty_close()]);
        assert_eq!(peer.transmit(), [Transmit::Last { frame: Frame::empty_close().to_bytes(), code: None }]);
    }

    #[test]
    fn ours_waits_for_the_answer_but_not_for_ever() {
        let mut peer = Peer::new();
        peer.session.end(Reason::Draining);
        assert_eq!(peer.close_code(), Some(1012));
        assert!(!peer.session.is_over());
        assert_eq!(peer.send(&[Frame::text("still talking")]), [""; 0]);
        peer.wait(Duration::from_secs(4));
        assert!(!peer.session.is_over());
        peer.wait(Duration::from_secs(1));
        assert!(peer.session.is_over());

        let mut peer = Peer::new();
        peer.session.end(Reason::Draining);
        peer.close_code();
        peer.send(&[Frame::close(WireCode::NORMAL, "")]);
        assert!(peer.session.is_over());
        assert_eq!(peer.transmit(), [], "one close is enough");
    }

    #[test]
    fn closes_that_cross_need_no_waiting() {
        let mut peer = Peer::new();
        peer.session.end(Reason::Draining);
        peer.send(&[Frame::close(WireCode::NORMAL, "")]);
        assert_eq!(peer.close_code(), Some(1012));
        assert!(peer.session.is_over());
    }

    #[test]
    fn faults_of_the_peer_have_their_codes_and_never_1011() {
        let cases: [(&str, Vec<Frame<'_>>, u16); 4] = [
            ("binary", vec![Frame::binary(b"x")], 1003),
            ("too big", vec![Frame::text("x").announcing(1 << 40)], 1009),
            ("stray continuation", vec![Frame::continuation(b"x")], 1002),
            ("not UTF-8", vec![Frame::new(portcullis_frame::Opcode::Text, b"\xff")], 1007),
        ];
        for (name, frames, code) in cases {
            let mut peer = Peer::new();
            assert_eq!(peer.send(&frames), [""; 0], "{name}");
            assert_eq!(peer.close_code(), Some(code), "{name}");
        }
    }

    #[test]
    fn silence_is_pinged_and_then_ended_and_any_byte_counts() {
        let mut peer = Peer::new();
        assert_eq!(peer.session.poll_timeout(&peer.options), Some(peer.now + Duration::from_secs(25)));
        peer.wait(Duration::from_secs(25));
        assert_eq!(peer.transmit(), [Transmit::Soon(Frame::ping(&[]).to_bytes())]);
        peer.wait(Duration::from_secs(19));
        peer.send(&[Frame::pong(b"")]);
        peer.wait(Duration::from_secs(24));
        assert_eq!(peer.transmit(), []);
        peer.wait(Duration::from_secs(1));
        assert_eq!(peer.transmit().len(), 1);
        peer.wait(Duration::from_secs(20));
        assert_eq!(peer.close_code(), Some(1001));
        assert!(peer.session.is_over(), "a peer that is gone will not answer");
    }

    #[test]
    fn the_token_warns_then_ends_the_connection_unless_it_is_renewed() {
        let mut peer = Peer::new();
        let at = |seconds| Some(peer.now + Duration::from_secs(seconds));
        let (warn, end, later) = (at(5), at(8), at(100));
        peer.session.renew(warn, end);
        assert_eq!(peer.wait(Duration::from_secs(4)), None);
        assert_eq!(peer.wait(Duration::from_secs(1)), Some(Notice::TokenExpiring));
        assert_eq!(peer.wait(Duration::from_secs(1)), None, "told once");
        peer.session.renew(None, later);
        peer.wait(Duration::from_secs(2));
        assert!(peer.session.is_open());
        peer.session.renew(warn, end);
        peer.wait(Duration::ZERO);
        assert_eq!(peer.close_code(), Some(1008));
    }

    #[test]
    fn a_flood_is_told_then_ended() {
        let mut peer = Peer::new();
        let flood: Vec<_> = (0..6).map(|_| Frame::text("x")).collect();
        assert_eq!(peer.send(&flood), ["x", "x", "x", "too fast", "too fast", "too fast"]);
        assert!(peer.session.is_open());
        peer.now += Duration::from_millis(500);
        assert_eq!(peer.send(&flood[..2]), ["x", "too fast"], "the allowance fills up at the rate");
        peer.send(&flood);
        assert_eq!(peer.close_code(), Some(1008));
    }

    proptest! {
        /// Whatever comes, in whatever pieces: at most one close goes out, nothing after it, and the session ends.
        #[test]
        fn any_bytes_end_in_at_most_one_close(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20), end in any::<bool>(),
        ) {
            let mut peer = Peer::new();
            let mut closes = 0;
            for mut chunk in chunks {
                let mut input = &mut chunk[..];
                while peer.session.receive(&peer.options, peer.now, &mut input).is_some() {}
                if end { peer.session.end(Reason::Draining); }
                for transmit in peer.transmit() {
                    prop_assert_eq!(closes, 0, "nothing follows a close");
                    closes += usize::from(matches!(transmit, Transmit::Last { .. }));
                }
                prop_assert!(closes <= 1);
                prop_assert!(peer.session.poll_timeout(&peer.options).is_some() || peer.session.is_over());
            }
        }
    }
}
