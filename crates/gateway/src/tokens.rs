//! Whose tokens these are, whether their logins go on, and for how long a token carries a connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_reason::{Reason, Rejection};
use portcullis_token::{Authority, Identity, Revocations, Verdict, Waiting, inspect};
use portcullis_units::Clock;
use tokio::time::timeout_at;

/// Has tokens verified, and knows the logins that ended before their tokens did.
pub(crate) struct Tokens {
    authority: Arc<dyn Authority>,
    revocations: Revocations,
    clock: Clock,
}

impl Tokens {
    pub(crate) fn new(authority: Arc<dyn Authority>, clock: Clock) -> Self {
        Self { authority, revocations: Revocations::default(), clock }
    }

    /// Whose token it is, perhaps of a login that has ended: that is [`current`](Self::current)'s to say.
    pub(crate) fn verify(&self, token: &str) -> Verdict {
        self.authority.verify(token, self.clock.unix_seconds())
    }

    /// The identity of a token that was verified, if its login goes on.
    pub(crate) fn current(&self, verified: Result<Identity, Rejection>) -> Result<Identity, Rejection> {
        let identity = verified?;
        self.revocations.check(&identity)?;
        Ok(identity)
    }

    /// Whether the login behind an identity has ended since it was verified.
    pub(crate) fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations.check(identity).is_err()
    }

    /// Refuses the tokens of ended logins from now on. Each login comes with the second from which none of its tokens is
    /// good any more.
    pub(crate) fn revoke(&self, logins: impl IntoIterator<Item = (String, u64)>) {
        self.revocations.add(logins, self.clock.unix_seconds(), self.clock.instant());
    }

    /// When a token's holder is to be warned, and when the connection ends; none for a token without an end.
    pub(crate) fn token_times(
        &self,
        expires_at: Option<u64>,
        now: Instant,
    ) -> (Option<Instant>, Option<Instant>) {
        let Some(expires_at) = expires_at else { return (None, None) };
        let left_of = |end: u64| Duration::from_secs(end).saturating_sub(self.clock.since_epoch());
        let left = left_of(expires_at);
        // Of a token that is over already, a part of the leeway is gone as well.
        let ends = now + left_of(expires_at.saturating_add(self.authority.leeway()));
        (now.checked_add(left.saturating_sub(WARNING)).filter(|_| left > Duration::ZERO), Some(ends))
    }

    /// Whose a refused token is, if it was validly signed for somebody: one that has run out, or one user too many times.
    pub(crate) fn owner(&self, rejection: &Rejection, token: &str) -> Option<Identity> {
        // The agent knows a user by the subject alone, which names one person only within one issuer.
        if !self.authority.has_one_issuer() {
            return None;
        }
        let at = match rejection.reason {
            Reason::TokenExpired => inspect(token, 0).claims?.get("exp")?.as_u64()?.checked_sub(1)?,
            Reason::TooManyConnections => self.clock.unix_seconds(),
            _ => return None,
        };
        match self.authority.verify(token, at) {
            Verdict::Now(verified) => verified.ok(),
            // Nobody is asked about a token that is refused.
            Verdict::Wait(_) => None,
        }
    }
}

/// What becomes known later, if it does until `deadline`.
pub(crate) async fn in_time(waiting: Waiting, deadline: Instant) -> Result<Identity, Rejection> {
    timeout_at(deadline.into(), waiting).await.unwrap_or_else(|_| {
        Err(Rejection::new(Reason::AuthUnavailable, "the token was not verified in time"))
    })
}

/// How long before its token ends a client is told.
const WARNING: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
