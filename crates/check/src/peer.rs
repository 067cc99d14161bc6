//! One connection whose every byte is decided here, and recorded.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_dial::{Client, Response, Stream};
use portcullis_frame::{Frame, FrameError, Limits, Message, Opcode};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{clock::CLOCK, evidence::Tape, profile::Profile, response::End};

/// A connection. It counts among those that may be open at once until it is dropped.
pub(crate) struct Peer {
    client: Client<Stream>,
    /// Read ahead, and not asked for yet.
    events: VecDeque<Event>,
    tape: Arc<Mutex<Tape>>,
    /// How the reading side ended.
    ended: Option<End>,
    /// Pings of the protocol, and the profile's where it has some.
    pub(crate) answers_pings: bool,
    profile: Arc<Profile>,
    _place: OwnedSemaphorePermit,
}

/// What came after a 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    Binary(usize),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// A frame that a server may not send.
    Broken(FrameError),
    /// The end of the TCP connection, or of the waiting.
    End(End),
}

impl Peer {
    pub(crate) fn new(
        stream: Stream,
        tape: Arc<Mutex<Tape>>,
        profile: Arc<Profile>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let limits = Limits { frame: 4 << 20, message: 4 << 20, fragments: 1 << 16 };
        Self {
            client: Client::new(stream, limits),
            events: VecDeque::new(),
            tape,
            ended: None,
            answers_pings: true,
            profile,
            _place: place,
        }
    }

    /// Sends bytes as they are; false where the server has ended the connection.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.tape.lock().sent(bytes);
        written(self.client.send(bytes)).await
    }

    /// Sends a frame, masked as a client's has to be. On the record it stands without its mask, which nobody could read
    /// through but a program that looks for tokens.
    pub(crate) async fn frame(&mut self, frame: Frame<'_>) -> bool {
        self.tape.lock().sent_frame(&frame.to_vec());
        written(self.client.frame(frame)).await
    }

    /// Sends a message of text.
    pub(crate) async fn text(&mut self, text: &str) -> bool {
        self.frame(Frame::text(text)).await
    }

    /// Reads the answer to a request: of a 101 the head alone, else with its body.
    pub(crate) async fn response(&mut self, patience: Duration) -> Result<Response, End> {
        let deadline = CLOCK.instant() + patience;
        let mut response = loop {
            match self.client.incoming().response() {
                Ok(Some(response)) => break response,
                Ok(None) => {}
                Err(_) => {
                    self.tape.lock().note("not an HTTP/1.1 response");
                    return Err(End::NotHttp);
                }
            }
            if let Some(end) = self.read(deadline).await {
                return Err(end);
            }
        };
        let deadline = CLOCK.instant() + BODY;
        while !self.client.incoming().body(&mut response, LONGEST_BODY) && self.read(deadline).await.is_none()
        {
        }
        Ok(response)
    }

    /// The next thing that comes, or how the waiting for it ended. Pings are answered on the way.
    pub(crate) async fn event(&mut self, patience: Duration) -> Event {
        let deadline = CLOCK.instant() + patience;
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.decode().await;
            if self.events.is_empty()
                && let Some(end) = self.read(deadline).await
            {
                return Event::End(end);
            }
        }
    }

    /// Waits until a text has come that fits, and leaves everything for later.
    pub(crate) async fn has_come(&mut self, patience: Duration, fits: impl Fn(&str) -> bool) -> bool {
        let deadline = CLOCK.instant() + patience;
        loop {
            self.decode().await;
            if self.events.iter().any(|event| matches!(event, Event::Text(text) if fits(text))) {
                return true;
            }
            let over = |event: &Event| matches!(event, Event::Close(..) | Event::Broken(_));
            let enough = self.events.len() > MOST_EVENTS || self.events.iter().any(over);
            if enough || self.read(deadline).await.is_some() {
                return false;
            }
        }
    }

    /// Passes over everything up to a close, a broken frame or the end.
    pub(crate) async fn ending(&mut self, patience: Duration) -> Event {
        let deadline = CLOCK.instant() + patience;
        loop {
            match self.event(deadline.saturating_duration_since(CLOCK.instant())).await {
                Event::Text(_) | Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
                ending => return ending,
            }
        }
    }

    /// Waits for the pong to a ping of these bytes; what comes before it is passed over.
    pub(crate) async fn pong(&mut self, payload: &[u8], patience: Duration) -> Event {
        let deadline = CLOCK.instant() + patience;
        loop {
            match self.event(deadline.saturating_duration_since(CLOCK.instant())).await {
                Event::Pong(bytes) if bytes == payload => return Event::Pong(bytes),
                Event::Text(_) | Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
                other => return other,
            }
        }
    }

    async fn decode(&mut self) {
        let mut answers = Vec::new();
        loop {
            let event = match self.client.incoming().message() {
                Ok(Some(Message::Text(text))) => match self.profile.answer_to_heartbeat(&text) {
                    Some(answer) if self.answers_pings => {
                        answers.push(Frame::new(Opcode::Text, answer.as_bytes().to_vec()));
                        continue;
                    }
                    _ => Event::Text(text.into_owned()),
                },
                Ok(Some(Message::Binary(bytes))) => Event::Binary(bytes.len()),
                Ok(Some(Message::Ping(payload))) => {
                    if self.answers_pings {
                        answers.push(Frame::new(Opcode::Pong, payload.into_owned()));
                        continue;
                    }
                    Event::Ping
                }
                Ok(Some(Message::Pong(payload))) => Event::Pong(payload.into_owned()),
                Ok(Some(Message::Close(Some(close)))) => {
                    Event::Close(Some(close.code.get()), close.reason.into_owned())
                }
                Ok(Some(Message::Close(None))) => Event::Close(None, String::new()),
                Ok(None) => break,
                Err(error) => Event::Broken(error),
            };
            self.events.push_back(event);
        }
        for answer in answers {
            self.frame(answer).await;
            self.events.push_back(Event::Ping);
        }
    }

    /// Waits for the end of the TCP connection; false if it does not come.
    pub(crate) async fn ended_within(&mut self, patience: Duration) -> bool {
        let deadline = CLOCK.instant() + patience;
        loop {
            match self.read(deadline).await {
                None => self.client.incoming().skip(usize::MAX),
                Some(End::Silent) => return false,
                Some(_) => return true,
            }
        }
    }

    /// Reads once. Gives how the reading ended, if it did.
    async fn read(&mut self, deadline: Instant) -> Option<End> {
        if let Some(end) = self.ended {
            return Some(end);
        }
        let left = deadline.saturating_duration_since(CLOCK.instant());
        // A server that never stops to send must not keep the waiting from ending.
        if left.is_zero() {
            return Some(End::Silent);
        }
        let end = match timeout(left, self.client.read()).await {
            Ok(Ok(0)) => End::Eof,
            Ok(Ok(count)) => {
                let bytes = self.client.incoming().bytes();
                self.tape.lock().received(&bytes[bytes.len() - count..]);
                return None;
            }
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => End::Eof,
            Ok(Err(_)) => End::Reset,
            Err(_) => return Some(End::Silent),
        };
        self.tape.lock().note(if end == End::Eof { "end of the connection" } else { "connection reset" });
        self.ended = Some(end);
        Some(end)
    }
}

/// Whether what is written went out. A server that does not read fills the way to it, and is not worth waiting for.
async fn written(writing: impl Future<Output = io::Result<()>>) -> bool {
    matches!(timeout(WRITING, writing).await, Ok(Ok(())))
}

const WRITING: Duration = Duration::from_secs(5);
const BODY: Duration = Duration::from_secs(2);
/// Read ahead, at most.
const MOST_EVENTS: usize = 256;
const LONGEST_BODY: usize = 64 * 1024;
