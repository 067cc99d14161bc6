//! Logins that ended before their tokens did.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use portcullis_reason::{Reason, Rejection};

use crate::Identity;

/// The ended logins, by the `sid` of their tokens, each for as long as one of its tokens could still be good. The time of day
/// alone ends nothing: it can be set forth and back again.
///
/// A token of an ended login is refused although its signature and its claims are: callers of
/// [`Verifier::verify`](crate::Verifier::verify) ask [`check`](Self::check) after each call, also when the answer came
/// from the cache. Without an ended login that costs one load.
#[derive(Default)]
pub struct Revocations {
    any: AtomicBool,
    ended: RwLock<HashMap<Box<str>, Ended>>,
}

struct Ended {
    /// When the last of the login's tokens has expired, in seconds since 1970.
    until: u64,
    /// When this was heard.
    heard: Instant,
}

/// How long an ended login is remembered at least, whatever the time of day says.
const KEPT: Duration = Duration::from_hours(7 * 24);

impl Revocations {
    /// Takes logins that ended, each with the second from which none of its tokens is good any more, and forgets those
    /// of a week ago whose second has come. `now` is the time of day in seconds since 1970, `instant` the monotonic time.
    pub fn add(&self, logins: impl IntoIterator<Item = (String, u64)>, now: u64, instant: Instant) {
        let mut ended = self.ended.write();
        let heard =
            |(session, until): (String, u64)| (session.into_boxed_str(), Ended { until, heard: instant });
        ended.extend(logins.into_iter().map(heard));
        ended.retain(|_, it| it.until > now || instant.saturating_duration_since(it.heard) < KEPT);
        self.any.store(!ended.is_empty(), Ordering::Release);
    }

    /// Whether the login of a verified token goes on.
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if it has ended. A token without `sid` belongs to no login that could.
    pub fn check(&self, identity: &Identity) -> Result<(), Rejection> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        match identity.session() {
            Some(session) if self.ended.read().contains_key(session) => {
                Err(Rejection::new(Reason::TokenRevoked, "the token's login has ended"))
            }
            _ => Ok(()),
        }
    }

    /// How many ended logins are remembered.
    pub fn len(&self) -> usize {
        self.ended.read().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("logins", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_units::Clock;

    use super::*;
    use crate::identity::Parts;

    #[test]
    fn a_login_that_ended_is_refused_until_its_last_token_has_expired() {
        let of = |session| {
            let parts =
                Parts { subject: "ann", issuer: "i", session, expires_at: Some(100), ..Parts::default() };
            Identity::new(&parts)
        };
        let revocations = Revocations::default();
        let refused = |session| revocations.check(&of(session)).is_err();
        let (clock, hand) = Clock::manual(50);
        let add = |logins: &[(&str, u64)]| {
            let logins = logins.iter().map(|(session, until)| ((*session).to_owned(), *until));
            revocations.add(logins, clock.unix_seconds(), clock.instant());
        };
        assert!(!refused("one"));
        add(&[("one", 100)]);
        assert!(refused("one"));
        assert!(!refused("two") && !refused(""), "another login of the same user goes on");
        hand.set(100_000);
        add(&[("two", 2_000_000)]);
        hand.set(50);
        add(&[]);
        assert!(refused("one") && refused("two"), "the time of day was set forth and back");
        hand.advance(KEPT);
        add(&[]);
        assert!(!refused("one") && refused("two"));
        assert_eq!(revocations.len(), 1);
        hand.set(2_000_000);
        add(&[]);
        assert!(revocations.is_empty() && !refused("two"));
    }
}
