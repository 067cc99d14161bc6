//! What a line tells: a reason, a symptom, or both, and whom and what it is about.

use std::{borrow::Cow, fmt};

use portcullis_reason::{CloseCode, CloseProfile, Reason};
use serde::{Serialize, Serializer};

/// The part of the way from page to server that has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The page or program that connects: its bundle, its state.
    Client,
    /// The network between the two.
    Network,
    /// A proxy, load balancer, content delivery network or platform in front of the server.
    Proxy,
    /// The server that answers the handshake, or its configuration.
    Server,
    /// Whoever issues tokens, or the keys and names that were agreed on with it.
    IdentityProvider,
    /// The clock of the issuer or of the server.
    Clock,
}

impl Hop {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Network => "network",
            Self::Proxy => "proxy",
            Self::Server => "server",
            Self::IdentityProvider => "identity provider",
            Self::Clock => "clock",
        }
    }
}

/// What was seen of a failure, apart from its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Symptom {
    /// The handshake was answered with this HTTP status.
    Refused(u16),
    /// The connection was closed with this code.
    Closed(u16),
    /// A browser or client says that the connection failed, and no more.
    Failed,
    /// An authentication failed; the line names no cause.
    AuthenticationFailed,
    /// The server used a WebSocket that it had not accepted.
    NotAccepted,
    /// The server used a WebSocket that was closed already.
    UsedAfterClose,
    /// An exception, or an answer of 500.
    ServerError,
    /// A message was to be delivered to a user who has no connection.
    RoutingFailed,
    /// A ping was not answered.
    HeartbeatTimeout,
    /// The connection ended without a close frame.
    ConnectionLost,
}

impl Symptom {
    /// A stable name: `refused_403`, `heartbeat_timeout`.
    pub fn id(self) -> Cow<'static, str> {
        match self {
            Self::Refused(status) => format!("refused_{status}").into(),
            Self::Closed(code) => format!("closed_{code}").into(),
            Self::Failed => "connection_failed".into(),
            Self::AuthenticationFailed => "authentication_failed".into(),
            Self::NotAccepted => "not_accepted".into(),
            Self::UsedAfterClose => "used_after_close".into(),
            Self::ServerError => "server_error".into(),
            Self::RoutingFailed => "routing_failed".into(),
            Self::HeartbeatTimeout => "heartbeat_timeout".into(),
            Self::ConnectionLost => "connection_lost".into(),
        }
    }

    /// For people, one line.
    pub fn title(self) -> Cow<'static, str> {
        match self {
            Self::Refused(499) => "clients gave up before the server answered (nginx: 499)".into(),
            Self::Refused(status) => format!("handshakes were refused with HTTP {status}").into(),
            Self::Closed(code) => format!("connections were closed with {code}").into(),
            Self::Failed => "clients could not connect".into(),
            Self::AuthenticationFailed => "authentication failed".into(),
            Self::NotAccepted => "the server used a WebSocket that it had not accepted".into(),
            Self::UsedAfterClose => "the server used a WebSocket that was closed".into(),
            Self::ServerError => "the server raised an exception".into(),
            Self::RoutingFailed => "messages could not be routed to a user".into(),
            Self::HeartbeatTimeout => "heartbeats timed out".into(),
            Self::ConnectionLost => "connections were lost without a close frame".into(),
        }
    }

    /// How far down the chain from a cause it stands: 0 is the refusal itself, 1 what the server does about it at once,
    /// 2 and 3 what happens later because nobody was let in.
    pub(crate) const fn depth(self) -> u8 {
        match self {
            Self::Refused(_) | Self::Closed(_) | Self::Failed | Self::AuthenticationFailed => 0,
            Self::NotAccepted | Self::ServerError | Self::UsedAfterClose => 1,
            Self::RoutingFailed => 2,
            Self::HeartbeatTimeout | Self::ConnectionLost => 3,
        }
    }

    /// Whether it is what a client was answered, and so the end of a failed attempt.
    pub(crate) const fn is_answer(self) -> bool {
        matches!(self, Self::Refused(_) | Self::Closed(_))
    }

    /// The reason that it stands for where nothing else explains it; none where it may have several.
    pub(crate) fn alone(self) -> Option<Reason> {
        match self {
            Self::Refused(status) => match status {
                404 => Some(Reason::UnknownMode),
                405 => Some(Reason::MethodNotAllowed),
                414 | 431 => Some(Reason::RequestTooLarge),
                426 => Some(Reason::UnsupportedVersion),
                429 => Some(Reason::RateLimited),
                500 => Some(Reason::Internal),
                502..=504 => Some(Reason::NotReady),
                _ => None,
            },
            // 1001 is also what every page that is left says.
            Self::Closed(1001)
            | Self::Failed
            | Self::AuthenticationFailed
            | Self::UsedAfterClose
            | Self::RoutingFailed
            | Self::ConnectionLost => None,
            Self::Closed(1011) | Self::NotAccepted | Self::ServerError => Some(Reason::Internal),
            Self::Closed(1012) => Some(Reason::Draining),
            Self::Closed(code) => {
                let profile = if code < 4000 { CloseProfile::Standard } else { CloseProfile::Application };
                let mut reasons = CloseCode(code).reasons(profile).filter(|reason| reason.status().is_none());
                reasons.next().filter(|_| reasons.next().is_none())
            }
            Self::HeartbeatTimeout => Some(Reason::HeartbeatTimeout),
        }
    }

    /// Whether a failure with this reason can look like this.
    pub(crate) fn fits(self, reason: Reason) -> bool {
        let live = reason.status().is_none();
        match self {
            // Servers answer 403 (Uvicorn, before accept) and 500 (an exception in the check) to whatever the application refuses.
            Self::Refused(403 | 500) => {
                reason.status().is_some_and(|status| matches!(status, 401 | 403 | 429 | 500))
                    || matches!(
                        reason,
                        Reason::AmbiguousCredentials
                            | Reason::NoCommonSubprotocol
                            | Reason::UnknownMode
                            | Reason::AuthUnavailable
                    )
            }
            Self::Refused(502..=504) => {
                matches!(
                    reason,
                    Reason::NotReady | Reason::Draining | Reason::AuthUnavailable | Reason::Internal
                ) || self == Self::Refused(504) && reason == Reason::HeartbeatTimeout
            }
            Self::Refused(status) => {
                let status = if status == 414 { 431 } else { status };
                reason.status() == Some(status)
                    || reason.is_authentication() && matches!(status, 400 | 401)
                    || reason == Reason::BadUpgrade && matches!(status, 404 | 426)
                    || reason == Reason::RequestTooLarge && status == 400
            }
            Self::Closed(1006) | Self::Failed | Self::ConnectionLost => true,
            Self::Closed(code) => {
                reason.is_authentication() && matches!(code, 1002 | 1008 | 1011 | 3000 | 3003 | 4400..=4499)
                    || CloseProfile::ALL
                        .iter()
                        .any(|profile| CloseCode(code).reasons(*profile).any(|known| known == reason))
            }
            Self::AuthenticationFailed => reason.is_authentication(),
            Self::NotAccepted | Self::ServerError | Self::UsedAfterClose | Self::RoutingFailed => !live,
            Self::HeartbeatTimeout => !live || reason == Reason::HeartbeatTimeout,
        }
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

impl Serialize for Symptom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How well a line knows why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// It does not say why.
    #[default]
    Silent,
    /// It names a check, and several reasons could be behind it.
    Vague,
    /// It says why.
    Plain,
}

/// What a line tells of a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The same kind of line has the same voice. An event speaks with each of its voices once.
    pub(crate) voice: u32,
    pub(crate) reason: Option<Reason>,
    pub(crate) certainty: Certainty,
    pub(crate) symptom: Option<Symptom>,
    /// The hop, where the line knows better than its reason.
    pub(crate) hop: Option<Hop>,
    /// It is about a connection that was let in, so it follows from no refusal.
    pub(crate) live: bool,
}

impl Finding {
    pub(crate) const fn cause(voice: u32, reason: Reason) -> Self {
        Self {
            voice,
            reason: Some(reason),
            certainty: Certainty::Plain,
            symptom: None,
            hop: None,
            live: false,
        }
    }

    pub(crate) const fn symptom(voice: u32, symptom: Symptom) -> Self {
        Self {
            voice,
            reason: None,
            certainty: Certainty::Silent,
            symptom: Some(symptom),
            hop: None,
            live: false,
        }
    }

    pub(crate) const fn at(mut self, hop: Hop) -> Self {
        self.hop = Some(hop);
        self
    }

    pub(crate) const fn seen_as(mut self, symptom: Symptom) -> Self {
        self.symptom = Some(symptom);
        self
    }

    pub(crate) const fn vague(mut self) -> Self {
        self.certainty = Certainty::Vague;
        self
    }

    pub(crate) const fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// See [`Symptom::depth`].
    pub(crate) fn depth(&self) -> u8 {
        match (self.reason, self.symptom) {
            (None, Some(symptom)) if !self.live => symptom.depth(),
            _ => 0,
        }
    }
}

/// The hop that a reason points at where the line does not say.
pub(crate) const fn usual_hop(reason: Reason) -> Hop {
    match reason {
        Reason::BadUpgrade => Hop::Proxy,
        Reason::SignatureInvalid
        | Reason::UnknownKey
        | Reason::AlgorithmNotAllowed
        | Reason::IssuerMismatch
        | Reason::AudienceMismatch
        | Reason::ClaimMissing
        | Reason::InsufficientScope
        | Reason::AuthUnavailable => Hop::IdentityProvider,
        Reason::NotYetValid => Hop::Clock,
        Reason::OriginNotAllowed
        | Reason::NoCommonSubprotocol
        | Reason::NotReady
        | Reason::Draining
        | Reason::TooManyRuns
        | Reason::QuotaReached
        | Reason::RunLimit
        | Reason::AgentError
        | Reason::Internal => Hop::Server,
        Reason::HeartbeatTimeout => Hop::Network,
        Reason::MethodNotAllowed
        | Reason::UnsupportedVersion
        | Reason::UnknownMode
        | Reason::NoToken
        | Reason::AmbiguousCredentials
        | Reason::ProtocolMismatch
        | Reason::TokenMalformed
        | Reason::TokenTooLarge
        | Reason::TokenExpired
        | Reason::TokenRevoked
        | Reason::RequestTooLarge
        | Reason::RateLimited
        | Reason::TooManyConnections
        | Reason::SlowConsumer
        | Reason::MessageTooBig
        | Reason::UnsupportedData
        | Reason::ProtocolError
        | Reason::InvalidPayload
        | Reason::MessageMalformed
        | Reason::UnknownAgent
        | Reason::UnknownRun
        | Reason::RunCancelled
        | Reason::LoginFailed
        | Reason::BadRequest
        | Reason::NotFound => Hop::Client,
    }
}
