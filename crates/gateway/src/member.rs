//! What every live connection is to the server, whatever it goes over: a WebSocket or a stream of events.

use std::sync::Arc;

use portcullis_event::{
    ConnectionEstablished, ConnectionId, Draining, Mode, ServerMessage, Timestamp, TokenExpiring,
};
use portcullis_reason::Reason;
use portcullis_router::{Attachment, Outbox};
use portcullis_token::Identity;

use crate::{admission::Permit, figures::metrics::Kind, gate::Gate, registry::Key};

/// A connection among the live ones; dropping it takes it out.
pub(crate) struct Member {
    pub(crate) gate: Arc<Gate>,
    pub(crate) outbox: Arc<Outbox>,
    key: Key,
    kind: Kind,
    _permit: Permit,
}

impl Member {
    /// Enters a connection that was accepted, so that it can be reached from outside. What changed between the decision and
    /// here ends it.
    pub(crate) fn enter(
        gate: Arc<Gate>,
        permit: Permit,
        outbox: Arc<Outbox>,
        identity: &Identity,
        kind: Kind,
    ) -> Self {
        let key = gate.registry.enter(&outbox, identity);
        if gate.door.tokens.is_revoked(identity) {
            // Its login ended between the check and here.
            outbox.end(Reason::TokenRevoked);
        }
        if gate.door.ready().is_err() {
            // The server began to stop between the check and here, and may have told everyone else already.
            outbox.end(Reason::Draining);
        }
        gate.figures.metrics.live(kind).inc();
        Self { gate, outbox, key, kind, _permit: permit }
    }

    /// Goes on with another token of the same user, unless its login has ended a moment ago: false then.
    pub(crate) fn renew(&self, identity: &Identity) -> bool {
        // From here on the connection lives by another login, perhaps, and is found by that one.
        self.gate.registry.renew(self.key, identity);
        !self.gate.door.tokens.is_revoked(identity)
    }

    /// Whether it is our own probe, which is no user's and so in no figure.
    pub(crate) const fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.gate.figures.metrics.live(self.kind).dec();
        self.gate.registry.leave(self.key);
    }
}

/// What greets a client.
pub(crate) fn established(
    gate: &Gate,
    connection_id: ConnectionId,
    mode: Mode,
    protocol: Option<Arc<str>>,
    identity: &Identity,
) -> ServerMessage {
    let established = ConnectionEstablished {
        connection_id,
        user_id: Arc::from(identity.subject()),
        mode,
        protocol,
        heartbeat_interval_ms: gate.options.heartbeat.interval.as_millis(),
        max_message_bytes: gate.options.limits.message_bytes.get(),
        token_expires_at: identity.expires_at().map(Timestamp::from_unix_seconds),
        node: Arc::clone(&gate.node.name),
    };
    established.into()
}

/// Tells a client that its token ends soon.
pub(crate) fn warn_of_expiry(gate: &Gate, attachment: &Attachment) {
    if let Some(expires_at) = attachment.identity().expires_at() {
        let seconds_left = expires_at.saturating_sub(gate.clock.unix_seconds());
        let expires_at = Timestamp::from_unix_seconds(expires_at);
        attachment.notify(TokenExpiring { expires_at, seconds_left }.into());
    }
}

/// The frame that tells a client to come back. Not through the outbox, which takes nothing more once the end is known, as it
/// may be by now.
pub(crate) fn draining(attachment: &Attachment, reconnect_after_ms: u32) -> bytes::Bytes {
    attachment.control(Draining { reconnect_after_ms: reconnect_after_ms.into() }.into())
}
