//! What the doctor may know of the server that it runs in.

use std::sync::Arc;

use portcullis_reason::{CloseProfile, Reason};
use serde::Serialize;

/// The doctor's view of its server: a clock, the configuration without secrets, and what this server refused.
///
/// Every method returns at once; an implementation reads memory and does no I/O.
pub trait Surroundings: Send + Sync + 'static {
    /// Seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;

    /// The running configuration.
    fn configuration(&self) -> Arc<Configuration>;

    /// The refusals that are known to be `user_id`'s own, newest first, at most a few dozen.
    ///
    /// A refusal is someone's own when its token was validly signed for them, or when it happened on a connection of
    /// theirs. Refusals of strangers are never here, whatever name they claimed.
    fn recent_refusals(&self, user_id: &str) -> Vec<Refusal>;
}

/// The part of a running configuration that bears on handshakes. It holds no secret, key or path on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// `development`, `testing`, `staging` or `production`.
    pub environment: String,
    /// Whether the listener is bound to loopback alone.
    pub loopback: bool,
    /// Paths that upgrade, with their modes: `("/ws", "main")`.
    pub paths: Vec<(String, String)>,
    /// Origins accepted beside the server's own.
    pub origins: Vec<String>,
    /// Prefixes of token-bearing subprotocol elements, with their dot: `jwt.`, `bearer.`.
    pub credential_prefixes: Vec<String>,
    /// Whether `jwt, <token>` is taken.
    pub accept_two_element_form: bool,
    /// Subprotocol names that may be selected.
    pub subprotocols: Vec<String>,
    /// The most bytes a token may have.
    pub max_token_bytes: u64,
    /// Algorithms that at least one key is pinned to.
    pub algorithms: Vec<String>,
    /// Accepted issuers; empty means any.
    pub issuers: Vec<String>,
    /// Accepted audiences; empty means that `aud` is not looked at.
    pub audiences: Vec<String>,
    /// Claims that a token must have.
    pub required_claims: Vec<String>,
    /// Allowed clock skew.
    pub leeway_seconds: u64,
    /// How often the server pings.
    pub heartbeat_interval_ms: u64,
    /// The most bytes of one message.
    pub max_message_bytes: u64,
    /// How reasons become close codes.
    pub close_profile: CloseProfile,
    /// Whether `/ws/echo` exists.
    pub echo: bool,
    /// Where to log in, as told to clients.
    pub auth_url: String,
    /// What the server itself has to say against its configuration, one line each (a weak secret, for instance).
    pub warnings: Vec<String>,
}

/// One refusal of the asking user's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: Reason,
    /// Names the occurrence in the server's log.
    pub request_id: String,
    /// How the credential was sent, where one was: `authorization`, `subprotocol` and so on. Never the credential.
    pub form: Option<String>,
}
