//! What a case works with: connections to the server, and a record of each.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_dial::{Response, Route, RouteError, Stream, Target};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    admission::Admission,
    clock::CLOCK,
    evidence::{Exchange, Redactor, Tape},
    good::Good,
    mint::Mint,
    outcome::Outcome,
    peer::{Event, Peer},
    profile::Profile,
    request::Request,
    response::End,
};

/// What all cases of a run share.
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) mint: Mint,
    pub(crate) profile: Arc<Profile>,
    pub(crate) times: Times,
    /// What `--origin` gave.
    pub(crate) origin: Option<String>,
    pub(crate) good: OnceLock<Good>,
    /// The token that a login gave, if there was one.
    pub(crate) login: Option<Result<String, String>>,
    pub(crate) redactor: Redactor,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) next_connect: tokio::sync::Mutex<Instant>,
    pub(crate) tls: Option<TlsConnector>,
    /// How long after `exp` handshakes take a token, in seconds, once a case has found out.
    pub(crate) leeway: OnceCell<u64>,
}

/// How long things may take, and how many at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// For an answer.
    pub(crate) timeout: Duration,
    /// After a 101, before a connection counts as accepted.
    pub(crate) settle: Duration,
    /// For a server to end what does not go on.
    pub(crate) patience: Duration,
    /// Between two connections.
    pub(crate) pace: Duration,
    /// After `exp`, for the connection to be closed.
    pub(crate) leeway: Duration,
    /// Of silence, where it was asked for.
    pub(crate) silence: Duration,
    /// Most connections at once: not a time, but a bound of the same kind.
    pub(crate) connections: usize,
}

/// One case's way to the server.
pub(crate) struct Probe {
    pub(crate) shared: Arc<Shared>,
    tapes: Mutex<Vec<Arc<Mutex<Tape>>>>,
}

impl Probe {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tapes: Mutex::new(Vec::new()) }
    }

    /// What was sent and what came, connection by connection.
    pub(crate) fn evidence(&self) -> Vec<Exchange> {
        let tapes = self.tapes.lock();
        tapes.iter().take(MOST_EXCHANGES).map(|tape| tape.lock().exchange(&self.shared.redactor)).collect()
    }

    pub(crate) fn mint(&self) -> &Mint {
        &self.shared.mint
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    pub(crate) fn times(&self) -> Times {
        self.shared.times
    }

    /// The connection that works.
    pub(crate) fn baseline(&self) -> Result<&Good, Outcome> {
        self.shared
            .good
            .get()
            .ok_or_else(|| Outcome::inconclusive("there is no good connection to compare with"))
    }

    /// An upgrade with the origin that works, without a credential.
    pub(crate) fn request(&self) -> Request {
        let mut request = Request::upgrade(&self.shared.target.path, &self.shared.target.authority());
        if self.profile().protocol_required {
            request = request.set("Sec-WebSocket-Protocol", &self.profile().protocol);
        }
        match self.shared.good.get().and_then(|good| good.origin.as_deref()) {
            Some(origin) => request.set("Origin", origin),
            None => request,
        }
    }

    /// An upgrade that works.
    pub(crate) fn good(&self) -> Result<Request, Outcome> {
        let good = self.baseline()?;
        Ok(match self.mint().good() {
            Some(token) => good.form.apply(self.request(), &token),
            // A server that lets anybody in.
            None => self.request(),
        })
    }

    /// The same with another token.
    pub(crate) fn with_token(&self, token: &str) -> Result<Request, Outcome> {
        Ok(self.baseline()?.form.apply(self.request(), token))
    }

    /// The same with a text where the token goes, as it is.
    pub(crate) fn with_raw(&self, text: &str) -> Result<Request, Outcome> {
        Ok(self.baseline()?.form.apply_raw(self.request(), text))
    }

    /// The same without a token.
    pub(crate) fn without_token(&self) -> Result<Request, Outcome> {
        Ok(self.baseline()?.form.apply_nothing(self.request()))
    }

    /// A token that works.
    pub(crate) fn token(&self) -> Result<String, Outcome> {
        self.mint().good().ok_or_else(|| Outcome::inconclusive("there is no token to try it with"))
    }

    /// Connects, once there is a place and it is time.
    pub(crate) async fn connect(&self, what: &str) -> Result<Peer, Outcome> {
        let shared = &self.shared;
        let place = Arc::clone(&shared.places).acquire_owned().await.expect("the semaphore is never closed");
        {
            let mut next = shared.next_connect.lock().await;
            tokio::time::sleep_until((*next).into()).await;
            *next = CLOCK.instant() + shared.times.pace;
        }
        let tape = Arc::new(Mutex::new(Tape::new(what)));
        self.tapes.lock().push(Arc::clone(&tape));
        let dialled = dial(&shared.target, shared.tls.as_ref(), shared.times.timeout).await;
        match dialled {
            Ok(stream) => Ok(Peer::new(stream, tape, Arc::clone(&shared.profile), place)),
            Err(error) => {
                tape.lock().note(&error);
                Err(Outcome::inconclusive(format!("no connection could be made: {error}")))
            }
        }
    }

    /// Sends a request and reads the answer. A server that is busy is asked again, twice.
    pub(crate) async fn ask(
        &self,
        what: &str,
        request: &Request,
    ) -> Result<(Peer, Result<Response, End>), Outcome> {
        for attempt in 1..=RETRIES {
            let (peer, _, answer) = self.ask_once(what, request).await?;
            match &answer {
                Ok(response) if is_busy(response) => {
                    drop(peer);
                    tokio::time::sleep(pause(response) * attempt).await;
                }
                _ => return Ok((peer, answer)),
            }
        }
        Err(Outcome::inconclusive(
            "the server limits attempts (429 or 503 with Retry-After), three times in a row: raise --pace",
        ))
    }

    /// How long an answer takes from the moment that the connection is there. A server that is busy is asked again.
    pub(crate) async fn timed(
        &self,
        what: &str,
        request: &Request,
    ) -> Result<(Duration, Result<Response, End>), Outcome> {
        let mut waited = 0;
        loop {
            let (_peer, took, answer) = self.ask_once(what, request).await?;
            match &answer {
                Ok(response) if is_busy(response) && waited < RETRIES => {
                    waited += 1;
                    tokio::time::sleep(pause(response)).await;
                }
                _ => return Ok((took, answer)),
            }
        }
    }

    /// Sends a request and reads the answer, whatever it is.
    pub(crate) async fn ask_once(
        &self,
        what: &str,
        request: &Request,
    ) -> Result<(Peer, Duration, Result<Response, End>), Outcome> {
        let mut peer = self.connect(what).await?;
        let began = CLOCK.instant();
        peer.send(&request.bytes()).await;
        let answer = peer.response(self.times().timeout).await;
        Ok((peer, CLOCK.since(began), answer))
    }

    /// The answer alone.
    pub(crate) async fn answer(
        &self,
        what: &str,
        request: &Request,
    ) -> Result<Result<Response, End>, Outcome> {
        Ok(self.ask(what, request).await?.1)
    }

    /// A live connection. Where there is none, the case has nothing to stand on.
    pub(crate) async fn open(&self, what: &str, request: &Request) -> Result<(Peer, Response), Outcome> {
        let (mut peer, answer) = self.ask(what, request).await?;
        match answer {
            Ok(response) if response.status == 101 => {
                self.introduce(&mut peer, request, self.times().timeout).await;
                Ok((peer, response))
            }
            Ok(response) => Err(Outcome::inconclusive(format!(
                "a handshake that should work was refused with {}",
                response.status
            ))),
            Err(end) => Err(Outcome::inconclusive(format!("a handshake that should work failed: {end}"))),
        }
    }

    /// Says the first message, if there is one, and waits until the server has taken it.
    async fn introduce(&self, peer: &mut Peer, request: &Request, patience: Duration) {
        let profile = self.profile();
        let Some(hello) = request.hello.as_ref().or(profile.hello.as_ref()) else { return };
        peer.text(hello).await;
        if let Some(ready) = &profile.ready {
            peer.has_come(patience, |text| profile.kind(text).as_ref() == Some(ready)).await;
        }
    }

    /// A live connection with the good credential.
    pub(crate) async fn live(&self, what: &str) -> Result<Peer, Outcome> {
        Ok(self.open(what, &self.good()?).await?.0)
    }

    /// Tries to connect and waits for what becomes of it. A message is sent as soon as the server has said 101.
    pub(crate) async fn attempt(&self, what: &str, request: &Request) -> Result<Admission, Outcome> {
        let admission = self.attempt_with(what, request, true).await?;
        // A message that is not read any more resets the connection, and the reset overtakes the close frame: without
        // it, the code is seen.
        let talks = self.profile().hello.is_some() || self.profile().probe.is_some();
        if matches!(admission, Admission::Dropped { .. }) && talks && request.hello.is_none() {
            let silent = self.attempt_with(what, request, false).await?;
            if matches!(silent, Admission::Closed { .. }) {
                return Ok(silent);
            }
        }
        Ok(admission)
    }

    async fn attempt_with(&self, what: &str, request: &Request, talks: bool) -> Result<Admission, Outcome> {
        let (mut peer, answer) = self.ask(what, request).await?;
        let response = match answer {
            Ok(response) if response.status == 101 => response,
            Ok(response) => return Ok(Admission::Refused(response)),
            Err(end) => return Ok(Admission::Unanswered(end)),
        };
        let began = CLOCK.instant();
        if talks {
            self.introduce(&mut peer, request, self.times().settle).await;
            if let Some(probe) = &self.profile().probe {
                peer.text(probe).await;
            }
        }
        let mut texts = Vec::new();
        loop {
            let left = self.times().settle.saturating_sub(CLOCK.since(began));
            match peer.event(left).await {
                Event::Text(text) if texts.len() < MOST_TEXTS => texts.push(text),
                Event::Text(_) | Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
                Event::Close(code, reason) => {
                    let dwell = CLOCK.since(began);
                    if let Some(code) = code.and_then(portcullis_frame::WireCode::new) {
                        peer.frame(portcullis_frame::Frame::close(code, "")).await;
                    }
                    return Ok(Admission::Closed { code, reason, dwell, texts });
                }
                // Frames that no browser would take are another case's matter: whoever sends them has let somebody in.
                Event::Broken(_) | Event::End(End::Silent) => {
                    let bye = portcullis_frame::WireCode::new(1000).expect("1000 is a code");
                    peer.frame(portcullis_frame::Frame::close(bye, "")).await;
                    return Ok(Admission::Admitted { response, texts });
                }
                Event::End(_) => {
                    return Ok(Admission::Dropped { dwell: CLOCK.since(began), texts });
                }
            }
        }
    }

    /// Whether a text shows that a message was worked on: it looks like what a good connection answers.
    pub(crate) fn is_answer(&self, text: &str) -> bool {
        let shape = self.profile().shape(text);
        self.shared.good.get().is_some_and(|good| good.answers.contains(&shape))
    }
}

/// Whether the server asks to come back later.
fn is_busy(response: &Response) -> bool {
    response.status == 429 || response.status == 503 && response.field("Retry-After").is_some()
}

/// How long it asks to wait.
fn pause(response: &Response) -> Duration {
    let secs = response.field("Retry-After").and_then(|secs| secs.trim().parse().ok());
    Duration::from_secs(secs.unwrap_or(1)).min(LONGEST_WAIT)
}

/// Opens TCP, and TLS over it.
pub(crate) async fn dial(
    target: &Target,
    tls: Option<&TlsConnector>,
    patience: Duration,
) -> Result<Stream, String> {
    let dialling = async {
        let route = Route::find(target, tls).await.map_err(|error| match error {
            RouteError::Unresolved(host, error) => format!("{host} cannot be resolved: {error}"),
            RouteError::NoName(_) | RouteError::NoTls => error.to_string(),
        })?;
        let stream = route.connect(None).await.map_err(|error| format!("{}: {error}", target.authority()))?;
        Ok::<_, String>((route, stream))
    };
    let (route, stream) = timeout(patience, dialling)
        .await
        .map_err(|_| format!("{}: no answer in time", target.authority()))??;
    let shaking = timeout(patience, route.secure(stream));
    shaking
        .await
        .map_err(|_| "no TLS handshake in time".to_owned())?
        .map_err(|error| format!("TLS: {error}; a certificate of one's own is trusted with --ca FILE"))
}

const RETRIES: u32 = 3;
const MOST_EXCHANGES: usize = 16;
/// Messages of a server that are kept; what it says first is what tells.
pub(crate) const MOST_TEXTS: usize = 1000;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
