//! How long a connection may live: while its peer gives signs of life, and while its token is good.

use std::time::{Duration, Instant};

use portcullis_reason::Reason;

/// How long a peer may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Silence after which a sign of life is asked for, measured from the last one.
    pub interval: Duration,
    /// Silence after that which ends the connection.
    pub timeout: Duration,
}

/// What is due in a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The peer was silent: ask it for a sign of life.
    Heartbeat,
    /// The token ends soon: tell the client.
    TokenExpiring,
    /// The connection's time is up.
    End(Reason),
}

/// The times of one live connection, whatever it goes over. What a sign of life is, its driver knows: bytes that came, or
/// bytes that were taken.
#[derive(Debug)]
pub struct Life {
    /// When the last sign came, or since when one is asked for.
    silent_since: Instant,
    /// Whether one is asked for.
    asked: bool,
    /// When the client is to be told that its token ends, then when the connection does.
    warn_at: Option<Instant>,
    expires_at: Option<Instant>,
}

impl Life {
    /// A life that begins now. `warn_at` and `expires_at` are the token's, as for [`Life::renew`].
    pub const fn new(now: Instant, warn_at: Option<Instant>, expires_at: Option<Instant>) -> Self {
        Self { silent_since: now, asked: false, warn_at, expires_at }
    }

    /// Takes over the times of a fresh token.
    pub const fn renew(&mut self, warn_at: Option<Instant>, expires_at: Option<Instant>) {
        self.warn_at = warn_at;
        self.expires_at = expires_at;
    }

    /// The peer gave a sign of life.
    pub const fn heard(&mut self, now: Instant) {
        self.silent_since = now;
        self.asked = false;
    }

    /// When [`Life::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self, heartbeat: &Heartbeat) -> Instant {
        let token = [self.warn_at, self.expires_at].into_iter().flatten();
        token.fold(self.patience(heartbeat), Instant::min)
    }

    /// What is due at `now`. Ask until there is nothing.
    pub fn handle_timeout(&mut self, heartbeat: &Heartbeat, now: Instant) -> Option<Due> {
        if self.expires_at.is_some_and(|at| now >= at) {
            return Some(Due::End(Reason::TokenExpired));
        }
        if now >= self.patience(heartbeat) {
            if self.asked {
                return Some(Due::End(Reason::HeartbeatTimeout));
            }
            self.asked = true;
            self.silent_since = now;
            return Some(Due::Heartbeat);
        }
        self.warn_at.take_if(|at| now >= *at).map(|_| Due::TokenExpiring)
    }

    /// When the peer's silence asks for a question, or has lasted too long after one.
    fn patience(&self, heartbeat: &Heartbeat) -> Instant {
        self.silent_since + if self.asked { heartbeat.timeout } else { heartbeat.interval }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_units::Clock;

    use super::*;

    const HEARTBEAT: Heartbeat =
        Heartbeat { interval: Duration::from_secs(25), timeout: Duration::from_secs(20) };

    #[test]
    fn a_peer_that_takes_nothing_is_asked_and_then_given_up() {
        let start = Clock::system().instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut life = Life::new(start, None, None);
        assert_eq!(life.poll_timeout(&HEARTBEAT), at(25));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(24)), None);
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(25)), Some(Due::Heartbeat));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(25)), None, "it is asked once");
        assert_eq!(life.poll_timeout(&HEARTBEAT), at(45));
        life.heard(at(40));
        assert_eq!(life.poll_timeout(&HEARTBEAT), at(65));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(65)), Some(Due::Heartbeat));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(85)), Some(Due::End(Reason::HeartbeatTimeout)));
    }

    #[test]
    fn a_token_ends_a_life_that_is_well() {
        let start = Clock::system().instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut life = Life::new(start, Some(at(5)), Some(at(30)));
        assert_eq!(life.poll_timeout(&HEARTBEAT), at(5));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(5)), Some(Due::TokenExpiring));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(6)), None, "it is told once");
        life.heard(at(29));
        assert_eq!(life.poll_timeout(&HEARTBEAT), at(30));
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(30)), Some(Due::End(Reason::TokenExpired)));
        life.renew(None, None);
        assert_eq!(life.handle_timeout(&HEARTBEAT, at(30)), None);
    }
}
