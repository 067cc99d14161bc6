//! The table itself. A new reason does not compile until every surface below has an answer for it.

use std::{fmt, str::FromStr};

/// The `error` parameter of a `WWW-Authenticate: Bearer` challenge (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerError {
    /// `invalid_request`: repeated or ill-formed credentials.
    InvalidRequest,
    /// `invalid_token`: expired, revoked, malformed or otherwise not good.
    InvalidToken,
    /// `insufficient_scope`: good, but not enough for this resource.
    InsufficientScope,
}

impl BearerError {
    /// The parameter's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer or its user: what was sent cannot be taken.
    Client,
    /// This server.
    Server,
    /// Whoever configured or runs this server or the services that it needs.
    Operator,
}

impl Fault {
    /// Lower-case name, for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Operator => "operator",
        }
    }
}

/// How loud an operator should hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Normal life: a token ran out, a server is restarting.
    Info,
    /// Worth a look when frequent: wrong tokens, foreign origins, slow readers.
    Warning,
    /// Ours to mend.
    Error,
}

impl Severity {
    /// Lower-case name, for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail again, and nothing that a client does at run time changes that.
    Never,
    /// After the client changed something: a fresh token, another origin, a smaller message.
    AfterChange,
    /// Later, with growing pauses.
    Backoff,
    /// At once.
    Now,
}

impl Retry {
    /// Lower-case name, for reports and the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::AfterChange => "after_change",
            Self::Backoff => "backoff",
            Self::Now => "now",
        }
    }
}

/// The text is not the identifier of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the identifier of a reason")
    }
}

impl std::error::Error for UnknownReason {}

macro_rules! reasons {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident = $id:literal {
            title: $title:literal,
            status: $status:expr,
            bearer: $bearer:expr,
            close: $close:expr,
            application: $application:expr,
            retry: $retry:ident,
            fault: $fault:ident,
            severity: $severity:ident,
            clause: $clause:literal,
        }
    )+) => {
        /// Why a request, a connection, a message or a run was refused or ended.
        ///
        /// Identifiers are stable for ever. [`Display`](fmt::Display) and [`FromStr`] use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $( $(#[doc = $doc])+ $variant, )+ }

        impl Reason {
            /// Every reason, in the order of the catalogue: handshake first, then live connections, then HTTP and runs.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable identifier, `UPPER_SNAKE_CASE`.
            pub const fn id(self) -> &'static str { match self { $(Self::$variant => $id,)+ } }

            /// One public line; it never names a claim, a key or a token.
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)+ } }

            /// The HTTP status where the reason can end a request, else none.
            pub const fn status(self) -> Option<u16> { match self { $(Self::$variant => $status,)+ } }

            /// The `error` of the Bearer challenge. A 401 without one stands for a request that had no credentials
            /// (RFC 6750 §3.1).
            pub const fn bearer_error(self) -> Option<BearerError> { match self { $(Self::$variant => $bearer,)+ } }

            /// Whether trying again can help.
            pub const fn retry(self) -> Retry { match self { $(Self::$variant => Retry::$retry,)+ } }

            /// Who has to change something.
            pub const fn fault(self) -> Fault { match self { $(Self::$variant => Fault::$fault,)+ } }

            /// How loud an operator should hear of it.
            pub const fn severity(self) -> Severity { match self { $(Self::$variant => Severity::$severity,)+ } }

            /// The clause that the refusal stands on; empty where the rule is ours alone.
            pub const fn clause(self) -> &'static str { match self { $(Self::$variant => $clause,)+ } }

            /// The close code of the profile `standard`.
            pub(crate) const fn close_standard(self) -> Option<u16> { match self { $(Self::$variant => $close,)+ } }

            /// The close code of the profile `application`.
            pub(crate) const fn close_application(self) -> Option<u16> {
                match self { $(Self::$variant => $application,)+ }
            }
        }
    };
}

use BearerError::{InsufficientScope, InvalidRequest, InvalidToken};

reasons! {
    /// The request is not a valid WebSocket opening handshake.
    BadUpgrade = "BAD_UPGRADE" {
        title: "The request is not a valid WebSocket handshake",
        status: Some(400), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §4.2.1",
    }
    /// A WebSocket handshake is a GET.
    MethodNotAllowed = "METHOD_NOT_ALLOWED" {
        title: "This resource does not take that method",
        status: Some(405), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §4.2.1 item 1; RFC 9110 §15.5.6",
    }
    /// `Sec-WebSocket-Version` is not 13.
    UnsupportedVersion = "UNSUPPORTED_VERSION" {
        title: "Only version 13 of the WebSocket protocol is spoken here",
        status: Some(426), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §4.2.1 item 6, §4.4",
    }
    /// No mode lives at that path.
    UnknownMode = "UNKNOWN_MODE" {
        title: "No WebSocket endpoint is at this path",
        status: Some(404), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §4.2.2 item 4",
    }
    /// The request carries no credential in any accepted place.
    NoToken = "NO_TOKEN" {
        title: "No token was sent",
        status: Some(401), bearer: None, close: Some(1008), application: Some(4401),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 6750 §3.1; RFC 6455 §4.2.2 item 2",
    }
    /// Two different credentials, or two token elements.
    AmbiguousCredentials = "AMBIGUOUS_CREDENTIALS" {
        title: "More than one credential was sent",
        status: Some(400), bearer: Some(InvalidRequest), close: Some(1008), application: Some(4402),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 6750 §2",
    }
    /// The token came in a form that this server does not take, most often `jwt, <token>`.
    ProtocolMismatch = "PROTOCOL_MISMATCH" {
        title: "The token was sent in a form that this server does not take",
        status: Some(401), bearer: Some(InvalidRequest), close: Some(1008), application: Some(4403),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 6455 §11.3.4",
    }
    /// What was sent as a token is not one.
    TokenMalformed = "TOKEN_MALFORMED" {
        title: "The token is malformed",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4404),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7515 §5.2; RFC 7519 §7.2",
    }
    /// The token is longer than the limit.
    TokenTooLarge = "TOKEN_TOO_LARGE" {
        title: "The token is too large",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4405),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7519 §11",
    }
    /// The signature does not verify.
    SignatureInvalid = "SIGNATURE_INVALID" {
        title: "The token's signature is not valid here",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4406),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7515 §5.2 item 8",
    }
    /// No key of ours has the token's `kid`. Looks like [`Reason::SignatureInvalid`] from outside.
    UnknownKey = "UNKNOWN_KEY" {
        title: "The token was signed with a key that is not known here",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4406),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7515 §4.1.4",
    }
    /// The token's `alg` is not on the list of the key that it names.
    AlgorithmNotAllowed = "ALGORITHM_NOT_ALLOWED" {
        title: "The token's algorithm is not allowed",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4407),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 8725 §3.1",
    }
    /// `exp` has passed.
    TokenExpired = "TOKEN_EXPIRED" {
        title: "The token has expired",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4408),
        retry: AfterChange, fault: Client, severity: Info, clause: "RFC 7519 §4.1.4",
    }
    /// `nbf` (or `iat`) lies in the future.
    NotYetValid = "NOT_YET_VALID" {
        title: "The token is not valid yet",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4409),
        retry: Backoff, fault: Client, severity: Warning, clause: "RFC 7519 §4.1.5",
    }
    /// `iss` is not an issuer that is trusted here.
    IssuerMismatch = "ISSUER_MISMATCH" {
        title: "The token comes from another issuer",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4410),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7519 §4.1.1; RFC 8725 §3.8",
    }
    /// `aud` does not name this service.
    AudienceMismatch = "AUDIENCE_MISMATCH" {
        title: "The token was issued for another audience",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4411),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7519 §4.1.3; RFC 8725 §3.9",
    }
    /// A claim that is required here is missing or has the wrong type.
    ClaimMissing = "CLAIM_MISSING" {
        title: "The token lacks a required claim",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4412),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 7519 §4",
    }
    /// The token, its session or its account was revoked.
    TokenRevoked = "TOKEN_REVOKED" {
        title: "The token has been revoked",
        status: Some(401), bearer: Some(InvalidToken), close: Some(1008), application: Some(4413),
        retry: AfterChange, fault: Client, severity: Info, clause: "RFC 6750 §3.1; RFC 7009",
    }
    /// `Origin` is neither the server's own nor on its list.
    OriginNotAllowed = "ORIGIN_NOT_ALLOWED" {
        title: "Pages of this origin may not connect",
        status: Some(403), bearer: None, close: Some(1008), application: Some(4414),
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §4.2.2 item 4, §10.2",
    }
    /// The token is good and lacks a scope.
    InsufficientScope = "INSUFFICIENT_SCOPE" {
        title: "The token does not allow this",
        status: Some(403), bearer: Some(InsufficientScope), close: Some(1008), application: Some(4415),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 6750 §3.1",
    }
    /// None of the offered subprotocols is spoken here, or a browser offered its token alone.
    NoCommonSubprotocol = "NO_COMMON_SUBPROTOCOL" {
        title: "None of the offered subprotocols is spoken here",
        status: Some(400), bearer: None, close: Some(1002), application: Some(4416),
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §4.2.2 item 5.5, §11.3.4",
    }
    /// The request head is longer than the limits.
    RequestTooLarge = "REQUEST_TOO_LARGE" {
        title: "The request head is too large",
        status: Some(431), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6585 §5",
    }
    /// Too many attempts, messages or bytes in too short a time.
    RateLimited = "RATE_LIMITED" {
        title: "Too many attempts in a short time",
        status: Some(429), bearer: None, close: Some(1008), application: Some(4500),
        retry: Backoff, fault: Client, severity: Warning, clause: "RFC 6585 §4",
    }
    /// The cap on connections (in all, per user or per address) is reached.
    TooManyConnections = "TOO_MANY_CONNECTIONS" {
        title: "Too many connections are open",
        status: Some(429), bearer: None, close: Some(1008), application: Some(4501),
        retry: Backoff, fault: Client, severity: Warning, clause: "RFC 6585 §4",
    }
    /// The service that knows the keys or the revocations does not answer.
    AuthUnavailable = "AUTH_UNAVAILABLE" {
        title: "Tokens cannot be verified at the moment",
        status: Some(503), bearer: None, close: Some(1011), application: Some(4502),
        retry: Backoff, fault: Operator, severity: Error, clause: "RFC 9110 §15.6.4",
    }
    /// The server is starting.
    NotReady = "NOT_READY" {
        title: "The server is not ready yet",
        status: Some(503), bearer: None, close: Some(1012), application: Some(4503),
        retry: Backoff, fault: Operator, severity: Info, clause: "RFC 9110 §15.6.4",
    }
    /// The server is shutting down or being replaced.
    Draining = "DRAINING" {
        title: "The server is restarting",
        status: Some(503), bearer: None, close: Some(1012), application: Some(4504),
        retry: Backoff, fault: Operator, severity: Info, clause: "RFC 9110 §15.6.4",
    }
    /// The client reads more slowly than its events come.
    SlowConsumer = "SLOW_CONSUMER" {
        title: "The client does not read fast enough",
        status: None, bearer: None, close: Some(1013), application: Some(4505),
        retry: Backoff, fault: Client, severity: Warning, clause: "",
    }
    /// Nothing was heard from the peer, not even a pong.
    HeartbeatTimeout = "HEARTBEAT_TIMEOUT" {
        title: "The client stopped answering",
        status: None, bearer: None, close: Some(1001), application: Some(4506),
        retry: Now, fault: Client, severity: Info, clause: "RFC 6455 §5.5.2",
    }
    /// A frame or message is over the limit.
    MessageTooBig = "MESSAGE_TOO_BIG" {
        title: "The message is too big",
        status: None, bearer: None, close: Some(1009), application: Some(4417),
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 6455 §7.4.1, §10.4",
    }
    /// A binary message where only text is spoken.
    UnsupportedData = "UNSUPPORTED_DATA" {
        title: "Only text messages are understood here",
        status: None, bearer: None, close: Some(1003), application: Some(4418),
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §7.4.1",
    }
    /// The peer broke the framing rules.
    ProtocolError = "PROTOCOL_ERROR" {
        title: "The client broke the WebSocket framing rules",
        status: None, bearer: None, close: Some(1002), application: Some(4419),
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §5",
    }
    /// A text message or a close reason is not UTF-8.
    InvalidPayload = "INVALID_PAYLOAD" {
        title: "The text is not valid UTF-8",
        status: None, bearer: None, close: Some(1007), application: Some(4420),
        retry: Never, fault: Client, severity: Warning, clause: "RFC 6455 §8.1",
    }
    /// A message that is not JSON, has no known type, or lacks a field. Answered by an `error` event.
    MessageMalformed = "MESSAGE_MALFORMED" {
        title: "The message is not understood",
        status: None, bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "docs/protocol.md",
    }
    /// No agent has that name. Answered by an `error` event.
    UnknownAgent = "UNKNOWN_AGENT" {
        title: "No agent has that name",
        status: None, bearer: None, close: None, application: None,
        retry: AfterChange, fault: Client, severity: Warning, clause: "docs/protocol.md",
    }
    /// The user has no such run, or it has ended. Answered by an `error` event.
    UnknownRun = "UNKNOWN_RUN" {
        title: "There is no such run",
        status: None, bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Info, clause: "docs/protocol.md",
    }
    /// Too many runs are waiting or going on for this user or in all. Answered by an `error` event.
    TooManyRuns = "TOO_MANY_RUNS" {
        title: "Too many runs are going on",
        status: None, bearer: None, close: None, application: None,
        retry: Backoff, fault: Client, severity: Warning, clause: "docs/protocol.md",
    }
    /// As much is kept of this user, or of all, as may be. Answered by an `error` event.
    QuotaReached = "QUOTA_REACHED" {
        title: "As much is kept as may be",
        status: None, bearer: None, close: None, application: None,
        retry: AfterChange, fault: Client, severity: Warning, clause: "docs/protocol.md",
    }
    /// The owner stopped the run.
    RunCancelled = "RUN_CANCELLED" {
        title: "The run was cancelled",
        status: None, bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Info, clause: "docs/protocol.md",
    }
    /// The run took longer or produced more than its limits allow.
    RunLimit = "RUN_LIMIT" {
        title: "The run reached one of its limits",
        status: None, bearer: None, close: None, application: None,
        retry: AfterChange, fault: Operator, severity: Warning, clause: "docs/protocol.md",
    }
    /// The agent failed.
    AgentError = "AGENT_ERROR" {
        title: "The agent failed",
        status: None, bearer: None, close: None, application: None,
        retry: Backoff, fault: Operator, severity: Error, clause: "docs/protocol.md",
    }
    /// User name and password do not fit, or the account is disabled.
    LoginFailed = "LOGIN_FAILED" {
        title: "The user name or the password is wrong",
        status: Some(401), bearer: None, close: None, application: None,
        retry: AfterChange, fault: Client, severity: Warning, clause: "RFC 9110 §15.5.2",
    }
    /// A plain HTTP request that cannot be read.
    BadRequest = "BAD_REQUEST" {
        title: "The request cannot be understood",
        status: Some(400), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Warning, clause: "RFC 9110 §15.5.1",
    }
    /// A plain HTTP request for something that is not here.
    NotFound = "NOT_FOUND" {
        title: "There is nothing at this address",
        status: Some(404), bearer: None, close: None, application: None,
        retry: Never, fault: Client, severity: Info, clause: "RFC 9110 §15.5.5",
    }
    /// Our own failure.
    Internal = "INTERNAL" {
        title: "The server failed",
        status: Some(500), bearer: None, close: Some(1011), application: Some(4599),
        retry: Backoff, fault: Server, severity: Error, clause: "RFC 6455 §7.4.1",
    }
}

impl Reason {
    /// What a stranger is told: the reason itself, or a coarser one where the difference would help guessing.
    ///
    /// `UNKNOWN_KEY` and `SIGNATURE_INVALID` are apart in the log and alike outside (RFC 6750 §5.2, RFC 8725 §3.2).
    #[must_use]
    pub const fn shown_as(self) -> Self {
        match self {
            Self::UnknownKey => Self::SignatureInvalid,
            other => other,
        }
    }

    /// Whether the reason speaks about who the peer is; the close profiles map these together.
    pub const fn is_authentication(self) -> bool {
        matches!(
            self,
            Self::NoToken
                | Self::AmbiguousCredentials
                | Self::ProtocolMismatch
                | Self::TokenMalformed
                | Self::TokenTooLarge
                | Self::SignatureInvalid
                | Self::UnknownKey
                | Self::AlgorithmNotAllowed
                | Self::TokenExpired
                | Self::NotYetValid
                | Self::IssuerMismatch
                | Self::AudienceMismatch
                | Self::ClaimMissing
                | Self::TokenRevoked
                | Self::InsufficientScope
                | Self::AuthUnavailable
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    /// Takes the identifier in any case, with `-` for `_`.
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let same = |id: &str| {
            id.len() == text.len()
                && id
                    .bytes()
                    .zip(text.bytes())
                    .all(|(a, b)| a == if b == b'-' { b'_' } else { b.to_ascii_uppercase() })
        };
        Self::ALL.iter().copied().find(|reason| same(reason.id())).ok_or(UnknownReason)
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> serde::Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
