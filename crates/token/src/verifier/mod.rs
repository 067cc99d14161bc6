//! From a token to an identity (RFC 7519 §7.2).

mod cache;
mod claims;
mod header;

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use portcullis_reason::{Reason, Rejection};

use self::cache::Cache;
use crate::{Identity, KeySet, Policy, base64url, fingerprint::sha256};

/// Verifies tokens with a set of keys under one policy. Shared by all threads.
pub struct Verifier {
    keys: RwLock<Arc<Generation>>,
    policy: Policy,
    cache: Option<Cache>,
}

/// A set of keys and how many came before it.
struct Generation {
    keys: KeySet,
    number: u64,
    /// Whether a key of the set is slow enough. With HMAC a hit would save two microseconds, which is not worth a place
    /// in the cache; with the others it saves 20 to 70.
    use_cache: bool,
}

impl Verifier {
    /// A verifier whose cache holds up to `cache_capacity` verified tokens; with 0 there is none.
    pub fn new(keys: KeySet, policy: Policy, cache_capacity: usize) -> Self {
        let cache = (cache_capacity > 0).then(|| Cache::new(cache_capacity));
        let use_cache = cache.is_some() && keys.has_asymmetric();
        Self { keys: RwLock::new(Arc::new(Generation { keys, number: 0, use_cache })), policy, cache }
    }

    /// Verifies `token` at the time `now`, in seconds since 1970.
    ///
    /// `token` is the bare compact serialisation, without a scheme, quotes or white space. The order of checks is that of
    /// the [crate documentation](crate). Revocation is the caller's to check, after each call.
    ///
    /// # Errors
    /// `TOKEN_TOO_LARGE`, `TOKEN_MALFORMED`, `ALGORITHM_NOT_ALLOWED`, `UNKNOWN_KEY`, `SIGNATURE_INVALID`, `TOKEN_EXPIRED`,
    /// `NOT_YET_VALID`, `ISSUER_MISMATCH`, `AUDIENCE_MISMATCH`, `CLAIM_MISSING` or `INSUFFICIENT_SCOPE`. Neither `detail` nor
    /// `hint` has anything of the token in it.
    pub fn verify(&self, token: &str, now: u64) -> Result<Identity, Rejection> {
        if token.len() > self.policy.max_token_bytes {
            let max = self.policy.max_token_bytes;
            return Err(Rejection::new(
                Reason::TokenTooLarge,
                format!("{} bytes, of at most {max}", token.len()),
            )
            .with_hint(format!("The token is longer than {max} bytes.")));
        }
        let current = Arc::clone(&self.keys.read());
        let mut room = vec![0; base64url::decoded_len(token.len())];
        let parts = Compact::parse(token, &mut room)?;
        let header = header::parse(parts.header, &self.policy)?;
        // Hashing costs as much as an HMAC over the same bytes, so it is done only where there is something to look up. What
        // `alg` says is not verified yet, but a token that lies about it is verified as what it says, or not at all.
        let looked_up = current.use_cache && header.algorithm.family().is_asymmetric();
        let cache = self.cache.as_ref().filter(|_| looked_up);
        let cache = cache.map(|cache| (cache, sha256(token.as_bytes())));
        if let Some((cache, hash)) = &cache
            && let Some((identity, lifetime)) = cache.get(hash, current.number)
        {
            return match lifetime.check(now, self.policy.effective_leeway()) {
                Ok(()) => Ok(identity),
                Err(rejection) => {
                    cache.remove(hash);
                    Err(rejection)
                }
            };
        }

        let key = current
            .keys
            .verify(header.kid.as_deref(), header.algorithm, parts.signed, parts.signature)
            .map_err(|reason| refusal(reason, header.algorithm.name()))?;
        let (identity, lifetime) = claims::check(parts.payload, &self.policy, key.issuer(), now)?;
        if let Some((cache, hash)) = cache
            && key.algorithm().family().is_asymmetric()
            && lifetime.until.is_some()
        {
            cache.insert(hash, current.number, identity.clone(), lifetime);
        }
        Ok(identity)
    }

    /// Takes other keys from now on, and forgets all verified tokens.
    ///
    /// A call of [`verify`](Self::verify) that is under way may still answer with the old keys; what it puts into the cache
    /// is not found under the new ones.
    pub fn replace_keys(&self, keys: KeySet) {
        let use_cache = self.cache.is_some() && keys.has_asymmetric();
        let mut current = self.keys.write();
        *current = Arc::new(Generation { keys, number: current.number + 1, use_cache });
        drop(current);
        if let Some(cache) = &self.cache {
            cache.clear();
        }
    }

    /// The policy that tokens are held against.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many verified tokens are remembered.
    pub fn cached(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::len)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.keys.read();
        f.debug_struct("Verifier")
            .field("keys", &current.keys)
            .field("generation", &current.number)
            .field("policy", &self.policy)
            .field("cached", &self.cached())
            .finish_non_exhaustive()
    }
}

/// A token in its parts, decoded (RFC 7515 §7.1).
struct Compact<'t, 'r> {
    header: &'r [u8],
    payload: &'r [u8],
    signature: &'r [u8],
    /// What the signature is over: the first two parts as they stand, with the dot between them.
    signed: &'t [u8],
}

impl<'t, 'r> Compact<'t, 'r> {
    /// `room` has the decoded length of the whole token, which is enough for its parts.
    fn parse(token: &'t str, room: &'r mut [u8]) -> Result<Self, Rejection> {
        let bytes = token.as_bytes();
        let mut dots = memchr::memchr_iter(b'.', bytes);
        let (first, second) = match (dots.next(), dots.next(), dots.count()) {
            (Some(first), Some(second), 0) => (first, second),
            (Some(_), Some(_), 2) => {
                return Err(malformed("five parts: this is an encrypted token (JWE)")
                    .with_hint("The token has five parts: it is encrypted (JWE). Send a signed one (JWS)."));
            }
            (first, second, more) => {
                let dots = usize::from(first.is_some()) + usize::from(second.is_some()) + more;
                return Err(malformed(format!("{} part(s) instead of three", dots + 1))
                    .with_hint("A token has three parts with a dot between them."));
            }
        };
        if first == 0 || second == first + 1 {
            return Err(malformed("an empty header or payload").with_hint("A part of the token is empty."));
        }
        let (header_room, room) = room.split_at_mut(base64url::decoded_len(first));
        let (payload_room, signature_room) = room.split_at_mut(base64url::decoded_len(second - first - 1));
        let header = decode("header", &bytes[..first], header_room)?;
        let payload = decode("payload", &bytes[first + 1..second], payload_room)?;
        let signature = decode("signature", &bytes[second + 1..], signature_room)?;
        Ok(Self { header, payload, signature, signed: &bytes[..second] })
    }
}

fn decode<'r>(part: &'static str, text: &[u8], room: &'r mut [u8]) -> Result<&'r [u8], Rejection> {
    base64url::decode_into(text, room).map_err(|fault| {
        let what = fault.describe();
        malformed(format!("the {part} {what}")).with_hint(format!("The token's {part} {what}."))
    })
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(Reason::TokenMalformed, detail)
}

/// What the log is told when no key verified the token. `algorithm` is our own name for it, not the token's text.
fn refusal(reason: Reason, algorithm: &'static str) -> Rejection {
    let detail = match reason {
        Reason::UnknownKey => format!("no {algorithm} key with the token's kid"),
        Reason::AlgorithmNotAllowed => format!("no key that the token could mean is for {algorithm}"),
        _ => format!("no {algorithm} key verifies it"),
    };
    Rejection::new(reason, detail)
}
