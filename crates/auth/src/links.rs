//! One-time login links: made by `serve` for whoever reads its output, kept in memory alone.

use std::{collections::HashMap, fmt, time::Duration};

use parking_lot::Mutex;
use portcullis_reason::Reason;
use zeroize::Zeroizing;

use crate::{
    Error,
    secrets::{LINK_PREFIX, SecretHash, generate, parse},
};

/// The most links that wait to be used.
const MAX_LINKS: usize = 1024;
/// The longest life of a link.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// The secret part of a login link. `Debug` does not show it.
#[derive(Clone)]
pub struct LinkCode(Zeroizing<String>);

impl LinkCode {
    /// The code, good once, for the fragment of the page's address (`#link=CODE`).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkCode(..)")
    }
}

/// The links that wait to be used, by the hash of their code.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<SecretHash, Link>>);

/// Whom a link logs in, and until when (milliseconds since the epoch).
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub user_id: String,
    expires_at: u64,
}

impl Links {
    pub(crate) fn create(&self, user_id: &str, lifetime: Duration, now_ms: u64) -> Result<LinkCode, Error> {
        if !(Duration::from_secs(1)..=MAX_LIFETIME).contains(&lifetime) {
            return Err(Error::LinkLifetime);
        }
        let mut links = self.0.lock();
        if links.len() >= MAX_LINKS {
            links.retain(|_, link| link.expires_at > now_ms);
            if links.len() >= MAX_LINKS {
                return Err(Error::TooManyLinks);
            }
        }
        let (code, hash) = generate(LINK_PREFIX);
        let expires_at = now_ms.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        links.insert(hash, Link { user_id: user_id.to_owned(), expires_at });
        Ok(LinkCode(code))
    }

    /// Takes a link away, so that nobody else can.
    ///
    /// # Errors
    /// `TOKEN_MALFORMED` for a text that is no code, `TOKEN_REVOKED` for one that is unknown or was used,
    /// `TOKEN_EXPIRED` for one whose time is over.
    pub(crate) fn take(&self, code: &str, now_ms: u64) -> Result<(SecretHash, Link), Reason> {
        let hash = parse(LINK_PREFIX, code).ok_or(Reason::TokenMalformed)?;
        let link = self.0.lock().remove(&hash).ok_or(Reason::TokenRevoked)?;
        if link.expires_at <= now_ms { Err(Reason::TokenExpired) } else { Ok((hash, link)) }
    }

    /// Puts a link back that could not be used for a reason of ours.
    pub(crate) fn put_back(&self, hash: SecretHash, link: Link) {
        self.0.lock().insert(hash, link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_link_is_good_once_and_in_time() {
        let links = Links::default();
        let code = links.create("ada", MINUTE, 0).unwrap();
        assert_eq!(links.take(code.as_str(), 59_999).unwrap().1.user_id, "ada");
        assert_eq!(links.take(code.as_str(), 59_999).err(), Some(Reason::TokenRevoked));
        let code = links.create("ada", MINUTE, 0).unwrap();
        assert_eq!(links.take(code.as_str(), 60_000).err(), Some(Reason::TokenExpired));
        assert_eq!(links.take("pcl_nothing", 0).err(), Some(Reason::TokenMalformed));
    }

    #[test]
    fn a_link_put_back_can_be_used() {
        let links = Links::default();
        let code = links.create("ada", MINUTE, 0).unwrap();
        let (hash, link) = links.take(code.as_str(), 0).unwrap();
        links.put_back(hash, link);
        assert!(links.take(code.as_str(), 0).is_ok());
    }

    #[test]
    fn their_number_and_life_are_bounded_and_their_code_is_hidden() {
        let links = Links::default();
        for lifetime in [Duration::ZERO, MAX_LIFETIME + Duration::from_secs(1)] {
            assert!(matches!(links.create("ada", lifetime, 0), Err(Error::LinkLifetime)));
        }
        for _ in 0..MAX_LINKS {
            links.create("ada", MINUTE, 0).unwrap();
        }
        assert!(matches!(links.create("ada", MINUTE, 59_999), Err(Error::TooManyLinks)));
        let code = links.create("ada", MINUTE, 60_000).unwrap();
        assert_eq!(format!("{code:?}"), "LinkCode(..)");
    }
}
