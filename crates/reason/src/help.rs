//! The help text of each reason, one Markdown file a reason, so that prose is edited as prose.

use crate::Reason;

/// A reason's help, as written in `help/ID.md`.
///
/// The file has four sections in this order: `## Remedy` (one line), `## Cause`, `## How to see it`, `## How to fix it`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Help {
    markdown: &'static str,
}

impl Help {
    /// The whole text, Markdown.
    pub const fn markdown(self) -> &'static str {
        self.markdown
    }

    /// What to do, in one line of plain text.
    pub fn remedy(self) -> &'static str {
        // The first section, and one line: every refusal carries it, so it is not searched for.
        let section = self.markdown.strip_prefix("## Remedy\n").map_or("", str::trim_start);
        section.split_once('\n').map_or(section, |(line, _)| line)
    }

    /// Where it comes from.
    pub fn cause(self) -> &'static str {
        self.section("Cause")
    }

    /// How a user or an operator meets it.
    pub fn symptoms(self) -> &'static str {
        self.section("How to see it")
    }

    /// Step by step.
    pub fn fix(self) -> &'static str {
        self.section("How to fix it")
    }

    fn section(self, title: &str) -> &'static str {
        self.markdown
            .split("\n## ")
            .map(|section| section.trim_start_matches("## "))
            .find_map(|section| section.strip_prefix(title)?.strip_prefix('\n'))
            .map_or("", str::trim)
    }
}

macro_rules! help {
    ($($variant:ident $id:literal)+) => {
        impl Reason {
            /// The help text.
            pub const fn help(self) -> Help {
                match self { $(Self::$variant => Help { markdown: include_str!(concat!("../help/", $id, ".md")) },)+ }
            }
        }
    };
}

help! {
    BadUpgrade "BAD_UPGRADE"
    MethodNotAllowed "METHOD_NOT_ALLOWED"
    UnsupportedVersion "UNSUPPORTED_VERSION"
    UnknownMode "UNKNOWN_MODE"
    NoToken "NO_TOKEN"
    AmbiguousCredentials "AMBIGUOUS_CREDENTIALS"
    ProtocolMismatch "PROTOCOL_MISMATCH"
    TokenMalformed "TOKEN_MALFORMED"
    TokenTooLarge "TOKEN_TOO_LARGE"
    SignatureInvalid "SIGNATURE_INVALID"
    UnknownKey "UNKNOWN_KEY"
    AlgorithmNotAllowed "ALGORITHM_NOT_ALLOWED"
    TokenExpired "TOKEN_EXPIRED"
    NotYetValid "NOT_YET_VALID"
    IssuerMismatch "ISSUER_MISMATCH"
    AudienceMismatch "AUDIENCE_MISMATCH"
    ClaimMissing "CLAIM_MISSING"
    TokenRevoked "TOKEN_REVOKED"
    OriginNotAllowed "ORIGIN_NOT_ALLOWED"
    InsufficientScope "INSUFFICIENT_SCOPE"
    NoCommonSubprotocol "NO_COMMON_SUBPROTOCOL"
    RequestTooLarge "REQUEST_TOO_LARGE"
    RateLimited "RATE_LIMITED"
    TooManyConnections "TOO_MANY_CONNECTIONS"
    AuthUnavailable "AUTH_UNAVAILABLE"
    NotReady "NOT_READY"
    Draining "DRAINING"
    SlowConsumer "SLOW_CONSUMER"
    HeartbeatTimeout "HEARTBEAT_TIMEOUT"
    MessageTooBig "MESSAGE_TOO_BIG"
    UnsupportedData "UNSUPPORTED_DATA"
    ProtocolError "PROTOCOL_ERROR"
    InvalidPayload "INVALID_PAYLOAD"
    MessageMalformed "MESSAGE_MALFORMED"
    UnknownAgent "UNKNOWN_AGENT"
    UnknownRun "UNKNOWN_RUN"
    TooManyRuns "TOO_MANY_RUNS"
    QuotaReached "QUOTA_REACHED"
    RunCancelled "RUN_CANCELLED"
    RunLimit "RUN_LIMIT"
    AgentError "AGENT_ERROR"
    LoginFailed "LOGIN_FAILED"
    BadRequest "BAD_REQUEST"
    NotFound "NOT_FOUND"
    Internal "INTERNAL"
}
