//! One client connection: dialled, upgraded, and then messages both ways.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use portcullis_dial::{AnswerError, Client, MessageError, Route, Stream, connector, random_key};
use portcullis_frame::{Frame, Limits, Message, WireCode};
use portcullis_handshake::{ClientError, ClientRequest};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::{Failure, Presented, Target, Trust, clock::now};

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
    authority: String,
    route: Route,
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
        let tls = target.secure.then(|| connector(trust)).transpose().map_err(anyhow::Error::msg)?;
        let route = Route::find(&target, tls.as_ref()).await?;
        let mut addresses = route.addresses().iter();
        let loopback = addresses.all(|address| address.ip().is_loopback() && address.is_ipv4());
        Ok(Self {
            authority: target.authority(),
            extras,
            patience,
            spread: loopback && cfg!(target_os = "linux") && most_connections > PORTS,
            route,
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
        let deadline = now() + self.patience;
        let stream = within(deadline, "a connection", self.connect(number)).await?;
        let connected = now();
        let mut connection = Connection::over(stream);
        let answer = connection.upgrade(self, presented);
        within(deadline, "the answer to the handshake", answer).await?;
        Ok((connection, Opened { connected, upgraded: now() }))
    }

    async fn connect(&self, number: u64) -> Result<Stream, Failure> {
        let from = self.spread.then(|| IpAddr::from(Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8)));
        let stream = self.route.connect(from).await.map_err(|error| Failure::Connect(error.kind()))?;
        self.route.secure(stream).await.map_err(|error| Failure::Tls(error.to_string()))
    }
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
    client: Client<Stream>,
    presented: Presented,
}

impl Connection {
    fn over(stream: Stream) -> Self {
        let limits = Limits { frame: MOST_BYTES, message: MOST_BYTES, ..Limits::default() };
        Self { client: Client::new(stream, limits), presented: Presented::default() }
    }

    async fn upgrade(&mut self, dialer: &Dialer, presented: &Presented) -> Result<(), Failure> {
        let key = random_key();
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
        self.presented = presented.clone();
        match self.client.open(&request).await {
            Ok(_) => Ok(()),
            Err(AnswerError::Answer(ClientError::Refused(status))) => {
                Err(Failure::Refused { status, reason: self.refusal().await })
            }
            Err(AnswerError::Answer(error)) => Err(Failure::Answer(error)),
            Err(AnswerError::Io(error)) => Err(lost(&error)),
        }
    }

    /// The `reason` in the problem document of a refusal, where the body holds one; read to its end, so that the server
    /// ends the connection and no port of ours waits.
    async fn refusal(&mut self) -> Option<String> {
        let mut response = self.client.response().await.ok()?;
        // A server that announces no length and keeps the connection says nothing more.
        let _ = timeout(FAREWELL, self.client.body(&mut response, MOST_BODY)).await;
        let document: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
        document["reason"].as_str().map(|reason| self.presented.redact(reason))
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Failure> {
        self.client.frame(Frame::text(text)).await.map_err(|error| lost(&error))
    }

    /// Waits for the next text or binary message. Pings are answered on the way.
    ///
    /// May be cancelled: what was read is kept, at worst a pong is cut short.
    pub(crate) async fn next(&mut self) -> Result<Message<'static>, Failure> {
        loop {
            match self.client.message().await {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Ok(message),
                Ok(Message::Ping(bytes)) => {
                    self.client.frame(Frame::pong(&bytes)).await.map_err(|error| lost(&error))?;
                }
                Ok(Message::Pong(_)) => {}
                Ok(Message::Close(body)) => {
                    let code = body.as_ref().map(|body| body.code.get());
                    let reason = body.map(|body| self.presented.redact(&body.reason));
                    return Err(Failure::Closed { code, reason: reason.unwrap_or_default() });
                }
                Err(MessageError::Framing(error)) => return Err(Failure::Framing(error)),
                Err(MessageError::Io(error)) => return Err(lost(&error)),
            }
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
        let deadline = now() + LONGEST_DISCARDING;
        while let Ok(message) = timeout(quiet, self.next()).await {
            message?;
            if now() >= deadline {
                break;
            }
        }
        Ok(())
    }

    /// Ends the connection in the orderly way and waits a moment for the server to be the first to let go: the side that
    /// is first keeps the port for a minute, and clients have only some 28,000 of them.
    pub(crate) async fn close(mut self) {
        let orderly = async {
            self.client.frame(Frame::close(WireCode::NORMAL, "")).await?;
            while self.client.read().await? > 0 {
                self.client.incoming().room().clear();
            }
            io::Result::Ok(())
        };
        let _ = timeout(FAREWELL, orderly).await;
        self.abandon();
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
        self.client.into_stream().abandon();
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::Lost(error.kind())
}

/// The most of one message that is read.
const MOST_BYTES: usize = 64 << 20;

/// The most of a refusal's body.
const MOST_BODY: usize = 16 << 10;

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
