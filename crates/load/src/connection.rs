//! One client connection: dialled, upgraded, and then messages both ways.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context as _;
use portcullis_dial::connector;
use portcullis_frame::{Decoder, Frame, Limits, Message, Role, WireCode};
use portcullis_handshake::{ClientRequest, ResponseHead, encode_key};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, lookup_host},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::{Failure, Presented, Target, Trust, stream::Stream};

/// What every request carries beside the credential.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The value of `Origin`.
    pub origin: Option<String>,
    /// More field lines.
    pub fields: Vec<(String, String)>,
}

/// Makes connections to one server. Its name is looked up once: that is no part of a measurement.
pub struct Dialer {
    target: Target,
    addresses: Vec<SocketAddr>,
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    extras: Extras,
    patience: Duration,
    /// Whether to come from many addresses of this machine, so that ports do not run out.
    spread: bool,
}

/// When a connection came about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// Connected, with TLS where it is spoken.
    pub(crate) connected: Instant,
    /// The 101 was read and judged.
    pub(crate) upgraded: Instant,
}

impl Dialer {
    /// Looks the server's name up and reads whom to trust.
    ///
    /// # Errors
    /// If the name has no address, or the certificates cannot be read.
    pub async fn new(
        target: Target,
        trust: &Trust,
        extras: Extras,
        patience: Duration,
        most_connections: usize,
    ) -> anyhow::Result<Self> {
        let unknown = || format!("the name {} has no address", target.host);
        let addresses: Vec<SocketAddr> =
            lookup_host((target.host.as_str(), target.port)).await.with_context(unknown)?.collect();
        anyhow::ensure!(!addresses.is_empty(), unknown());
        let tls = if target.secure {
            Some((connector(trust).map_err(anyhow::Error::msg)?, server_name(&target)?))
        } else {
            None
        };
        let loopback = addresses.iter().all(|address| address.ip().is_loopback() && address.is_ipv4());
        Ok(Self {
            authority: target.authority(),
            tls,
            extras,
            patience,
            spread: loopback && cfg!(target_os = "linux") && most_connections > PORTS,
            addresses,
            target,
        })
    }

    /// The server.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// How long an operation may take.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Connects and upgrades, as connection `number`.
    pub(crate) async fn open(
        &self,
        number: u64,
        presented: &Presented,
    ) -> Result<(Connection, Opened), Failure> {
        let deadline = Instant::now() + self.patience;
        let stream = within(deadline, "a connection", self.connect(number)).await?;
        let connected = Instant::now();
        let mut connection = Connection::over(stream);
        let answer = connection.upgrade(self, presented);
        within(deadline, "the answer to the handshake", answer).await?;
        Ok((connection, Opened { connected, upgraded: Instant::now() }))
    }

    async fn connect(&self, number: u64) -> Result<Stream, Failure> {
        let failed = |error: io::Error| Failure::Connect(error.kind());
        let mut last = Failure::Connect(io::ErrorKind::NotFound);
        for address in &self.addresses {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            };
            let socket = socket.map_err(failed)?;
            if self.spread {
                let from = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
                socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).map_err(failed)?;
            }
            match socket.connect(*address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    let Some((connector, name)) = &self.tls else { return Ok(Stream::Plain(stream)) };
                    return match connector.connect(name.clone(), stream).await {
                        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
                        Err(error) => Err(Failure::Tls(error.to_string())),
                    };
                }
                Err(error) => last = failed(error),
            }
        }
        Err(last)
    }
}

fn server_name(target: &Target) -> anyhow::Result<ServerName<'static>> {
    ServerName::try_from(target.host.clone())
        .with_context(|| format!("{} is not a name that a certificate can have", target.host))
}

/// Waits for `future` until `deadline`.
pub(crate) async fn within<T>(
    deadline: Instant,
    what: &'static str,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout_at(deadline, future).await.unwrap_or(Err(Failure::Timeout(what)))
}

/// An open connection.
pub(crate) struct Connection {
    stream: Stream,
    decoder: Decoder,
    unread: Vec<u8>,
    messages: VecDeque<Message<'static>>,
    /// What went wrong behind the messages that are still to be taken.
    end: Option<Failure>,
    presented: Presented,
}

impl Connection {
    fn over(stream: Stream) -> Self {
        let limits = Limits { frame: MOST_BYTES, message: MOST_BYTES, ..Limits::default() };
        Self {
            stream,
            decoder: Decoder::new(Role::Client, limits),
            unread: Vec::new(),
            messages: VecDeque::new(),
            end: None,
            presented: Presented::default(),
        }
    }

    async fn upgrade(&mut self, dialer: &Dialer, presented: &Presented) -> Result<(), Failure> {
        let key = encode_key(&rand::random());
        let protocols: Vec<&str> = presented.protocols.iter().map(String::as_str).collect();
        let resource = dialer.target.path.as_str();
        let joined = presented.query.as_ref().map(|query| {
            let joint = if resource.contains('?') { '&' } else { '?' };
            format!("{resource}{joint}{query}")
        });
        let fields: Vec<(&str, &str)> = dialer
            .extras
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(presented.cookie.as_deref().map(|cookie| ("Cookie", cookie)))
            .collect();
        let request = ClientRequest {
            protocols: &protocols,
            origin: dialer.extras.origin.as_deref(),
            authorization: presented.authorization.as_deref(),
            fields: &fields,
            ..ClientRequest::new(joined.as_deref().unwrap_or(resource), &dialer.authority, &key)
        };
        let mut head = Vec::with_capacity(1_024);
        request.write(&mut head).map_err(Failure::Answer)?;
        self.presented = presented.clone();
        self.write(&head).await?;
        let mut answer = Vec::new();
        loop {
            if let Some(head) = ResponseHead::parse(&answer).map_err(Failure::Answer)? {
                if head.status() != 101 {
                    let status = head.status();
                    let length = head.field("Content-Length").and_then(|text| {
                        str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok())
                    });
                    let body = head.len();
                    let reason = self.refusal(&mut answer, body, length).await;
                    return Err(Failure::Refused { status, reason });
                }
                head.check(&key, &protocols).map_err(Failure::Answer)?;
                let behind = answer.split_off(head.len());
                self.take(behind);
                return Ok(());
            }
            if answer.len() > MOST_HEAD {
                return Err(Failure::Answer(portcullis_handshake::ClientError::NotHttp));
            }
            if self.read(&mut answer).await? == 0 {
                return Err(Failure::Lost(io::ErrorKind::UnexpectedEof));
            }
        }
    }

    /// The `reason` in the problem document of a refusal, where the body holds one; read to its end, so that the server
    /// ends the connection and no port of ours waits.
    async fn refusal(&mut self, answer: &mut Vec<u8>, body: usize, length: Option<usize>) -> Option<String> {
        let whole = body + length.unwrap_or(MOST_BODY).min(MOST_BODY);
        let rest =
            async { while answer.len() < whole && self.read(answer).await.is_ok_and(|read| read > 0) {} };
        // A server that announces no length and keeps the connection says nothing more.
        let _ = timeout(FAREWELL, rest).await;
        let document: serde_json::Value = serde_json::from_slice(answer.get(body..)?).ok()?;
        document["reason"].as_str().map(|reason| self.presented.redact(reason))
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Failure> {
        let frame = Frame::text(text).masked(rand::random()).to_vec();
        self.write(&frame).await
    }

    /// Waits for the next text or binary message. Pings are answered on the way.
    ///
    /// May be cancelled: what was read is kept, at worst a pong is cut short.
    pub(crate) async fn next(&mut self) -> Result<Message<'static>, Failure> {
        loop {
            while let Some(message) = self.messages.pop_front() {
                match message {
                    Message::Text(_) | Message::Binary(_) => return Ok(message),
                    Message::Ping(bytes) => {
                        let pong = Frame::pong(&bytes).masked(rand::random()).to_vec();
                        self.write(&pong).await?;
                    }
                    Message::Pong(_) => {}
                    Message::Close(body) => {
                        let code = body.as_ref().map(|body| body.code.get());
                        let reason = body.map(|body| self.presented.redact(&body.reason));
                        return Err(Failure::Closed { code, reason: reason.unwrap_or_default() });
                    }
                }
            }
            if let Some(failure) = &self.end {
                return Err(failure.clone());
            }
            let mut chunk = std::mem::take(&mut self.unread);
            let read = self.read(&mut chunk).await;
            if read? == 0 {
                return Err(Failure::Lost(io::ErrorKind::UnexpectedEof));
            }
            self.take(chunk);
        }
    }

    /// Waits for the next text message.
    pub(crate) async fn next_text(&mut self) -> Result<String, Failure> {
        loop {
            if let Message::Text(text) = self.next().await? {
                return Ok(text.into_owned());
            }
        }
    }

    /// Throws away what has come, and what comes until `quiet` has passed without a message; not for long, whatever comes.
    pub(crate) async fn discard(&mut self, quiet: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + LONGEST_DISCARDING;
        while let Ok(message) = timeout(quiet, self.next()).await {
            message?;
            if Instant::now() >= deadline {
                break;
            }
        }
        Ok(())
    }

    /// Ends the connection in the orderly way and waits a moment for the server to be the first to let go: the side that
    /// is first keeps the port for a minute, and clients have only some 28,000 of them.
    pub(crate) async fn close(mut self) {
        let orderly = async {
            let frame = Frame::close(WireCode::NORMAL, "").masked(rand::random()).to_vec();
            self.write(&frame).await?;
            let mut rest = Vec::new();
            while self.read(&mut rest).await? > 0 {
                rest.clear();
            }
            Ok::<(), Failure>(())
        };
        let _ = timeout(FAREWELL, orderly).await;
        self.stream.abandon();
    }

    /// Ends many connections in the orderly way, all at the same time.
    pub(crate) async fn close_all(connections: impl IntoIterator<Item = Self>) {
        let tracker = TaskTracker::new();
        for connection in connections {
            tracker.spawn(connection.close());
        }
        tracker.close();
        tracker.wait().await;
    }

    /// Ends the connection at once.
    pub(crate) fn abandon(self) {
        self.stream.abandon();
    }

    /// Puts what was read together to messages.
    fn take(&mut self, mut chunk: Vec<u8>) {
        let mut input = chunk.as_mut_slice();
        loop {
            match self.decoder.decode(&mut input) {
                Ok(Some(message)) => self.messages.push_back(message.into_owned()),
                Ok(None) => break,
                Err(error) => {
                    self.end = Some(Failure::Framing(error));
                    break;
                }
            }
        }
        // Kept for the next read unless it has grown: an idle connection holds little.
        chunk.clear();
        if chunk.capacity() <= KEPT {
            self.unread = chunk;
        }
    }

    async fn read(&mut self, room: &mut Vec<u8>) -> Result<usize, Failure> {
        if room.capacity() - room.len() < CHUNK / 2 {
            room.reserve(CHUNK);
        }
        self.stream.read_buf(room).await.map_err(|error| Failure::Lost(error.kind()))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|error| Failure::Lost(error.kind()))
    }
}

/// The most of one message that is read.
const MOST_BYTES: usize = 64 << 20;

/// The most of an answer's head.
const MOST_HEAD: usize = 64 << 10;

/// The most of a refusal's body.
const MOST_BODY: usize = 16 << 10;

const CHUNK: usize = 2_048;

const KEPT: usize = 4 * CHUNK;

/// A server that never falls silent is listened to for so long.
const LONGEST_DISCARDING: Duration = Duration::from_secs(1);

/// How long the server has for its part of an end.
const FAREWELL: Duration = Duration::from_millis(250);

/// Ports that one address has for outgoing connections, with some room left.
const PORTS: usize = 20_000;

const SOURCES: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// Only where there are more connections than ports: then from an address of this machine each.
    #[tokio::test]
    #[cfg_attr(not(target_os = "linux"), ignore = "elsewhere loopback has one address")]
    async fn a_large_crowd_comes_from_many_addresses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
        let dialer = async |most| {
            let patience = Duration::from_secs(10);
            Dialer::new(target.clone(), &Trust::Usual, Extras::default(), patience, most).await.unwrap()
        };
        for (most, expected) in [(PORTS, ["127.0.0.1", "127.0.0.1"]), (PORTS + 1, ["127.0.0.2", "127.0.0.3"])]
        {
            let dialer = dialer(most).await;
            for (number, expected) in expected.iter().enumerate() {
                let (connected, accepted) =
                    tokio::join!(dialer.connect(number as u64 + SOURCES), listener.accept());
                assert!(connected.is_ok());
                assert_eq!(accepted.unwrap().1.ip().to_string(), *expected);
            }
        }
    }
}
