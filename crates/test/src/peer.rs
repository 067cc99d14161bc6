//! A client whose every byte a test decides.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use portcullis_dial::Incoming;
use portcullis_frame::{Frame, Limits, Message};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::{PATIENCE, Request, Response, clock::CLOCK};

/// One connection, from its first byte.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    incoming: Incoming,
    answers_pings: bool,
    protocol: Option<String>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code; none for a close frame without one.
    pub code: Option<u16>,
    /// The text in the close frame.
    pub reason: String,
}

/// One block of a stream of Server-Sent Events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SseBlock {
    /// The cursor to come back with.
    pub id: Option<String>,
    /// The kind of event; none for the usual one.
    pub event: Option<String>,
    /// Milliseconds after which to come back.
    pub retry: Option<u64>,
    /// What is told; null for a block without.
    pub data: Value,
    /// Whether it has a comment, which tells nothing but that the stream lives.
    pub comment: bool,
}

impl Peer {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket"), address)
    }

    /// Connects from another address of this machine.
    #[track_caller]
    pub fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("loopback has many addresses");
        Self::over(socket, address)
    }

    /// Connects with as little room for what is not read as the system allows.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(2048).expect("a buffer may be small");
        // For segments as large as loopback's the other side keeps megabytes.
        socket.set_tcp_mss(1_460).expect("segments may be small");
        Self::over(socket, address)
    }

    #[track_caller]
    fn over(socket: Socket, address: SocketAddr) -> Self {
        socket.connect(&address.into()).unwrap_or_else(|error| panic!("cannot connect: {error}"));
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        let limits = Limits { frame: 32 << 20, message: 32 << 20, fragments: 1 << 17 };
        Self { stream, incoming: Incoming::new(limits), answers_pings: true, protocol: None }
    }

    /// Leaves pings without an answer from now on.
    pub const fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// The subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends bytes to a server that may have ended the connection already; false if it has.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        // The server may have been first.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends one request and reads the answer, whatever it is.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Response {
        self.send(&request.bytes());
        self.response()
    }

    /// Reads a response: of a 101 the head alone, else with its body, which ends with its length or the connection.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to(false)
    }

    /// The next block of a stream of Server-Sent Events, by the rules of the HTML standard; none at its end.
    #[track_caller]
    pub fn sse(&mut self) -> Option<SseBlock> {
        let deadline = CLOCK.instant() + PATIENCE;
        let end = loop {
            if let Some(end) = self.incoming.bytes().windows(2).position(|pair| pair == b"\n\n") {
                break end;
            }
            if !self.read(deadline) {
                return None;
            }
        };
        let text = String::from_utf8(self.incoming.bytes()[..end].to_vec());
        let text = text.expect("a stream of events is UTF-8");
        self.incoming.skip(end + 2);
        let mut parsed = SseBlock::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" => parsed.comment = true,
                "id" => parsed.id = Some(value.to_owned()),
                "event" => parsed.event = Some(value.to_owned()),
                "retry" => parsed.retry = value.parse().ok(),
                "data" => parsed.data = serde_json::from_str(value).expect("data is JSON"),
                other => panic!("{other} is no field of an event: {text}"),
            }
        }
        Some(parsed)
    }

    /// Reads the response to a HEAD, which has no body whatever its length says.
    #[track_caller]
    pub fn response_to_head(&mut self) -> Response {
        self.response_to(true)
    }

    #[track_caller]
    fn response_to(&mut self, head_alone: bool) -> Response {
        let deadline = CLOCK.instant() + PATIENCE;
        let (head, mut response) = loop {
            let come = self.incoming.bytes().to_vec();
            match self.incoming.response() {
                Ok(Some(response)) => {
                    break (come[..come.len() - self.incoming.bytes().len()].to_vec(), response);
                }
                Ok(None) => {}
                Err(error) => panic!("{error}: {}", self.unread_text()),
            }
            assert!(self.read(deadline), "the connection ended before an answer: {}", self.unread_text());
        };
        assert!(head.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&head));
        if !head_alone {
            while !self.incoming.body(&mut response, usize::MAX) && self.read(deadline) {}
        }
        Response::new(&head, response)
    }

    /// Opens a WebSocket: sends the request and judges the 101 as a client has to (RFC 6455 §4.1).
    #[track_caller]
    pub fn open(&mut self, request: &Request) {
        self.send(&request.bytes());
        self.opened(request);
    }

    /// Judges the answer to a request that was sent before.
    #[track_caller]
    pub fn opened(&mut self, request: &Request) {
        let key = request.value("Sec-WebSocket-Key").expect("an upgrade has a key");
        let key = str::from_utf8(key).expect("a key is text");
        let deadline = CLOCK.instant() + PATIENCE;
        let opened = loop {
            match self.incoming.opened(key, &request.offered()) {
                Ok(Some(opened)) => break opened,
                Ok(None) => assert!(self.read(deadline), "the connection ended: {}", self.unread_text()),
                Err(error) => panic!("{error}: {}", self.response().raw),
            }
        };
        self.protocol = opened.protocol.map(ToOwned::to_owned);
    }

    /// Sends a frame, masked.
    #[track_caller]
    pub fn frame(&mut self, frame: Frame<'_>) {
        self.send(&masked(frame));
    }

    /// Sends a message of text.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.frame(Frame::text(text));
    }

    /// Sends a message of JSON.
    #[track_caller]
    pub fn say(&mut self, message: &Value) {
        self.text(&message.to_string());
    }

    /// The next message or control frame. Pings are answered on the way, unless they are to be ignored.
    #[track_caller]
    pub fn message(&mut self) -> Message<'static> {
        self.message_within(PATIENCE).expect("the connection ended without a close frame")
    }

    /// The same; none at the end of the connection.
    #[track_caller]
    fn message_within(&mut self, patience: Duration) -> Option<Message<'static>> {
        let deadline = CLOCK.instant() + patience;
        loop {
            match self.incoming.message().map(|message| message.map(Message::into_owned)) {
                Ok(Some(Message::Ping(payload))) if self.answers_pings => {
                    // A server that is closing may have stopped to listen.
                    self.try_send(&masked(Frame::pong(&payload)));
                }
                Ok(Some(message)) => return Some(message),
                Ok(None) if !self.read(deadline) => return None,
                Ok(None) => {}
                Err(error) => panic!("the server broke the framing rules: {error}"),
            }
        }
    }

    /// The next message, which is text, as JSON. Pings and pongs are passed over.
    #[track_caller]
    pub fn json(&mut self) -> Value {
        loop {
            match self.message() {
                Message::Text(text) => {
                    return serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(Some(close)) => panic!("closed with {} {}", close.code.get(), close.reason),
                other => panic!("a text message was expected, not {other:?}"),
            }
        }
    }

    /// Sends a message as JSON text; false where the connection has ended.
    pub fn try_say(&mut self, message: &Value) -> bool {
        self.try_send(&masked(Frame::text(&message.to_string())))
    }

    /// The next message, which is text, as JSON; none where the connection ended, in whatever way.
    pub fn try_json(&mut self) -> Option<Value> {
        loop {
            match self.message_within(PATIENCE)? {
                Message::Text(text) => return serde_json::from_str(&text).ok(),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) => return None,
            }
        }
    }

    /// The next message of that type; what comes before it is passed over.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str) -> Value {
        self.until(kind).pop().expect("the last is what was waited for")
    }

    /// All messages up to the next one of that type, which is the last.
    #[track_caller]
    pub fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            let message = self.json();
            let last = message["type"] == kind;
            messages.push(message);
            if last {
                return messages;
            }
        }
    }

    /// All messages up to the terminal event of `runs` runs.
    #[track_caller]
    pub fn until_ended(&mut self, runs: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        let mut left = runs;
        while left > 0 {
            let message = self.json();
            left -= usize::from(message["type"] == "agent_completed" || message["type"] == "agent_failed");
            messages.push(message);
        }
        messages
    }

    /// Proves that nothing came since: asks for a pong and gives all messages before it.
    #[track_caller]
    pub fn drain(&mut self) -> Vec<Value> {
        self.say(&serde_json::json!({ "type": "ping", "payload": "drain" }));
        let mut messages = self.until("pong");
        messages.pop();
        messages
    }

    /// All messages up to the last event that `resumed` announced.
    #[track_caller]
    pub fn replayed(&mut self, resumed: &Value) -> Vec<Value> {
        let threads = resumed["payload"]["threads"].as_array().expect("a message of the type resumed");
        let mut left: Vec<_> = threads
            .iter()
            .filter(|thread| thread["from_seq"].as_u64() <= thread["to_seq"].as_u64())
            .map(|thread| (&thread["thread_id"], &thread["to_seq"]))
            .collect();
        let mut messages = Vec::new();
        while !left.is_empty() {
            let message = self.json();
            left.retain(|&(thread, last)| message["thread_id"] != *thread || message["seq"] != *last);
            messages.push(message);
        }
        messages
    }

    /// Passes over everything up to the close frame, then over the end of the connection.
    #[track_caller]
    pub fn closed(&mut self) -> Close {
        let close = loop {
            if let Message::Close(close) = self.message() {
                break close;
            }
        };
        self.finish();
        self.ended();
        match close {
            Some(close) => Close { code: Some(close.code.get()), reason: close.reason.into_owned() },
            None => Close { code: None, reason: String::new() },
        }
    }

    /// Waits for the end of the connection, and gives what came before it.
    #[track_caller]
    pub fn ended(&mut self) -> Vec<u8> {
        let deadline = CLOCK.instant() + PATIENCE;
        while self.read(deadline) {}
        std::mem::take(self.incoming.room())
    }

    /// Reads once; false at the end of the connection.
    #[track_caller]
    fn read(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(CLOCK.instant());
        assert!(!left.is_zero(), "nothing came in time; so far: {}", self.unread_text());
        self.stream.set_read_timeout(Some(left)).expect("a socket option");
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(read) => {
                self.incoming.room().extend_from_slice(&chunk[..read]);
                read > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time; so far: {}", self.unread_text())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            // A reset is an end, too.
            Err(_) => false,
        }
    }

    fn unread_text(&self) -> String {
        let bytes = self.incoming.bytes();
        String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned()
    }
}

/// The bytes of a frame as a client sends it (RFC 6455 §5.3). Tests need no key that nobody can guess.
fn masked(frame: Frame<'_>) -> Vec<u8> {
    frame.masked([0x37, 0xFA, 0x21, 0x3D]).to_vec()
}
