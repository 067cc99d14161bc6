//! Logins that ended before their tokens did.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;
use portcullis_reason::{Reason, Rejection};

use crate::Identity;

/// The ended logins, by the `sid` of their tokens, each for as long as one of its tokens could still be good.
///
/// A token of an ended login is refused although its signature and its claims are: callers of
/// [`Verifier::verify`](crate::Verifier::verify) ask [`check`](Self::check) after each call, also when the answer came
/// from the cache. Without an ended login that costs one load.
#[derive(Default)]
pub struct Revocations {
    any: AtomicBool,
    /// When the last of a login's tokens has expired, in seconds since 1970.
    ended: RwLock<HashMap<Box<str>, u64>>,
}

impl Revocations {
    /// Takes logins that ended, each with the second from which none of its tokens is good any more, and forgets those
    /// whose second has come at `now`.
    pub fn add(&self, logins: impl IntoIterator<Item = (String, u64)>, now: u64) {
        let mut ended = self.ended.write();
        ended.extend(logins.into_iter().map(|(session, until)| (session.into_boxed_str(), until)));
        ended.retain(|_, until| *until > now);
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
        assert!(!refused("one"));
        revocations.add([("one".to_owned(), 100)], 50);
        assert!(refused("one"));
        assert!(!refused("two") && !refused(""), "another login of the same user goes on");
        revocations.add([("two".to_owned(), 200)], 99);
        assert!(refused("one") && refused("two"));
        revocations.add([], 100);
        assert!(!refused("one") && refused("two"));
        assert_eq!(revocations.len(), 1);
        revocations.add([], 200);
        assert!(revocations.is_empty() && !refused("two"));
    }
}
