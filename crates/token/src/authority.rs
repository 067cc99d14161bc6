//! The seam behind which a token is verified: at once, or by asking somebody elsewhere.

use std::{fmt, pin::Pin};

use portcullis_reason::Rejection;

use crate::{Identity, Verifier};

/// Whoever can say whose a token is.
///
/// A [`Verifier`] has its keys and answers at once. One that has to ask, for a key that it does not know or for a token that
/// only its issuer can read, says so, and its caller waits as long as it likes to.
pub trait Authority: Send + Sync + 'static {
    /// Says whose `token` is at the time `now`, in seconds since 1970. Revocation is the caller's to check, after each answer.
    ///
    /// It does not block: what takes longer is [`Verdict::Wait`].
    fn verify(&self, token: &str, now: u64) -> Verdict;

    /// For how many seconds behind its `exp` a token is still taken.
    fn leeway(&self) -> u64;

    /// Whether all tokens are of one issuer, so that a subject names one person (RFC 7519 §4.1.2).
    fn has_one_issuer(&self) -> bool;
}

/// What an [`Authority`] says. What is known needs no allocation.
pub enum Verdict {
    /// Known now.
    Now(Result<Identity, Rejection>),
    /// Known later.
    Wait(Waiting),
}

/// What becomes known later: the identity, a reason of [`Verifier::verify`], or `AUTH_UNAVAILABLE` where nobody could be asked.
/// Nobody is asked before it is polled; it has no deadline of its own, and dropping it gives up.
pub type Waiting = Pin<Box<dyn Future<Output = Result<Identity, Rejection>> + Send>>;

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verified) => f.debug_tuple("Now").field(verified).finish(),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}

impl Authority for Verifier {
    fn verify(&self, token: &str, now: u64) -> Verdict {
        Verdict::Now(Self::verify(self, token, now))
    }

    fn leeway(&self) -> u64 {
        self.policy().leeway
    }

    fn has_one_issuer(&self) -> bool {
        Self::has_one_issuer(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_no_larger_than_what_a_verifier_says() {
        assert_eq!(size_of::<Verdict>(), size_of::<Result<Identity, Rejection>>());
    }
}
