//! The state of one live connection.

use std::time::Instant;

use bytes::Bytes;
use portcullis_reason::{Reason, Rejection};

use crate::{
    Due, Life, Options,
    frames::{self, Frames, Received, Spent, Transmit},
};

/// Something that the driver should tell the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The token ends soon.
    TokenExpiring,
}

/// The protocol state of one live connection, server side: its life and its frames.
#[derive(Debug)]
pub struct Session {
    life: Life,
    frames: Frames,
}

impl Session {
    /// A session that begins now. `warn_at` and `expires_at` are the token's, as for [`Session::renew`].
    pub fn new(
        options: &Options,
        now: Instant,
        warn_at: Option<Instant>,
        expires_at: Option<Instant>,
    ) -> Self {
        Self { life: Life::new(now, warn_at, expires_at), frames: Frames::new(options) }
    }

    /// Takes over the times of a fresh token.
    pub const fn renew(&mut self, warn_at: Option<Instant>, expires_at: Option<Instant>) {
        self.life.renew(warn_at, expires_at);
    }

    /// Reads on in `input`, which the driver just got from the socket, until a message is complete; none when all of
    /// it is used up. Control frames are dealt with on the way.
    ///
    /// `spend` takes from what the user may say, and says whether something was left.
    ///
    /// Nothing is given out any more once the connection is ending (RFC 6455 §7.1.7, §5.5.1).
    #[expect(clippy::mut_mut, reason = "the caller's view of its chunk moves on, as in `Decoder::decode`")]
    pub fn receive<'c>(
        &mut self,
        options: &Options,
        now: Instant,
        input: &mut &'c mut [u8],
        spend: impl FnMut(Spent) -> bool,
    ) -> Option<Received<'c>> {
        if !input.is_empty() {
            self.life.heard(now);
        }
        self.frames.receive(options, input, spend)
    }

    /// Ends the connection with a close frame for `reason`, after the data that waits. The first reason given stays.
    pub fn end(&mut self, reason: Reason) {
        self.frames.end(reason);
    }

    /// Whether data may still be sent and received.
    pub fn is_open(&self) -> bool {
        self.frames.is_open()
    }

    /// Whether the socket can be dropped once everything handed out is written.
    pub fn is_over(&self) -> bool {
        self.frames.is_over()
    }

    /// Whether the peer sent its close, so that it waits for nothing but the end of the connection.
    pub const fn peer_closed(&self) -> bool {
        self.frames.peer_closed()
    }

    /// Why the connection is ending, where it was our decision and the close frame is not out yet.
    pub const fn ending_for(&self) -> Option<Reason> {
        self.frames.ending_for()
    }

    /// The next control frame to send, if any. Ask until there is none. The time is asked for where it is needed, which is
    /// rare: this is called with everything that comes and goes.
    pub fn poll_transmit(&mut self, options: &Options, now: impl FnOnce() -> Instant) -> Option<Transmit> {
        self.frames.poll_transmit(options, now)
    }

    /// When [`Session::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self, options: &Options) -> Option<Instant> {
        if self.is_open() { Some(self.life.poll_timeout(&options.heartbeat)) } else { self.frames.awaited() }
    }

    /// Does what is due at `now`, and says what the client should hear.
    pub fn handle_timeout(&mut self, options: &Options, now: Instant) -> Option<Notice> {
        if self.frames.awaited().is_some_and(|until| now >= until) {
            self.frames.give_up();
        }
        while self.is_open()
            && let Some(due) = self.life.handle_timeout(&options.heartbeat, now)
        {
            match due {
                Due::Heartbeat => self.frames.ping(),
                Due::TokenExpiring => return Some(Notice::TokenExpiring),
                Due::End(reason) => self.end(reason),
            }
        }
        None
    }

    /// A close frame for `rejection`, for a handshake that is completed only to say why; none where its reason has no
    /// close code.
    pub fn refusal(options: &Options, rejection: &Rejection) -> Option<Bytes> {
        frames::refusal(options, rejection)
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use portcullis_frame::{Frame, Limits, WireCode};
    use portcullis_reason::CloseProfile;
    use portcullis_units::{Clock, Gcra, Rate};
    use proptest::prelude::*;

    use super::*;
    use crate::{Heartbeat, Rates, frames::MOST_PONGS};

    fn options() -> Options {
        Options {
            heartbeat: Heartbeat { interval: Duration::from_secs(25), timeout: Duration::from_secs(20) },
            limits: Limits { frame: 1024, message: 1024, fragments: 8 },
            rates: Some(Rates { messages: rate(2, 3), controls: rate(2, 1_000) }),
            binary: false,
            close_timeout: Duration::from_secs(5),
            close_profile: CloseProfile::Standard,
        }
    }

    fn rate(number: u32, burst: u32) -> Rate {
        Rate::per_second(NonZeroU32::new(number).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    struct Peer {
        session: Session,
        options: Options,
        now: Instant,
        /// What the user spent, of messages and of control frames.
        spent: [Gcra; 2],
    }

    impl Peer {
        fn new() -> Self {
            let (options, now) = (options(), Clock::system().instant());
            Self {
                session: Session::new(&options, now, None, None),
                options,
                now,
                spent: <[Gcra; 2]>::default(),
            }
        }

        /// Sends frames as a client, and gives what the session makes of them.
        fn send(&mut self, frames: &[Frame<'_>]) -> Vec<String> {
            let mut bytes = Vec::new();
            for frame in frames {
                frame.clone().masked([1, 2, 3, 4]).append_to(&mut bytes);
            }
            let mut input = &mut bytes[..];
            let mut received = Vec::new();
            while let Some(message) = self.receive(&mut input) {
                received.push(match message {
                    Received::Text(text) => text.into_owned(),
                    Received::Binary(bytes) => format!("{bytes:?}"),
                    Received::TooFast => "too fast".to_owned(),
                });
            }
            received
        }

        #[expect(clippy::mut_mut, reason = "as in the session")]
        fn receive<'c>(&mut self, input: &mut &'c mut [u8]) -> Option<Received<'c>> {
            let (rates, [messages, controls], now) = (self.options.rates.unwrap(), &mut self.spent, self.now);
            self.session.receive(&self.options, now, input, |what| match what {
                Spent::Message => messages.take(&rates.messages, now).is_ok(),
                Spent::Control => controls.take(&rates.controls, now).is_ok(),
            })
        }

        fn transmit(&mut self) -> Vec<Transmit> {
            std::iter::from_fn(|| self.session.poll_transmit(&self.options, || self.now)).collect()
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

    #[test]
    fn a_flood_of_control_frames_is_not_answered_then_ended() {
        let mut peer = Peer::new();
        peer.options.rates = Some(Rates { messages: rate(2, 3), controls: rate(2, 3) });
        peer.send(&[Frame::ping(b"1"), Frame::pong(b""), Frame::ping(b"2"), Frame::ping(b"3")]);
        let pongs = [&b"1"[..], b"2"].map(|payload| Transmit::Soon(Frame::pong(payload).to_bytes()));
        assert_eq!(peer.transmit(), pongs, "three are free");
        peer.send(&[Frame::pong(b""), Frame::pong(b"")]);
        assert!(peer.session.is_open());
        assert_eq!(peer.send(&[Frame::text("x")]), ["x"], "messages have an allowance of their own");
        peer.send(&[Frame::pong(b""), Frame::ping(b""), Frame::pong(b""), Frame::ping(b"")]);
        assert_eq!(peer.close_code(), Some(1008));
    }

    #[test]
    fn the_answer_to_a_ping_is_free() {
        let mut peer = Peer::new();
        peer.options.rates = Some(Rates { messages: rate(2, 3), controls: rate(1, 1) });
        peer.send(&[Frame::ping(b"")]);
        peer.transmit();
        for _ in 0..50 {
            peer.wait(Duration::from_secs(25));
            assert_eq!(peer.transmit().len(), 1);
            peer.spent = [Gcra::default(); 2];
            peer.send(&[Frame::ping(b""), Frame::pong(b"")]);
            peer.transmit();
        }
        assert!(peer.session.is_open());
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
                while peer.receive(&mut input).is_some() {}
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
